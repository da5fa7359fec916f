//! Requests that ask for another protocol on their connection (RFC 9110, section 7.8).

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;

use super::answer::{BadRequest, Refused};

/// The connection of a client that asks for `protocol`, as it is once the answer is [`switching`].
pub(super) fn asked(request: &mut Request, protocol: &'static str) -> Result<OnUpgrade, Refused> {
    let named = request.headers().get(header::UPGRADE);
    let is_named = named.is_some_and(|named| named.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()));
    let client = request.extensions_mut().remove::<OnUpgrade>();
    Ok(client
        .filter(|_| is_named)
        .ok_or(BadRequest::NoUpgrade(protocol))?)
}

/// The answer: from now on it is `protocol`.
pub(super) fn switching(protocol: &'static str) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
    response
}
