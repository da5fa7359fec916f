//! Requests that ask for another protocol on their connection (RFC 9110, section 7.8).

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;

use super::answer::{BadRequest, Refused};

/// A client that asked for another protocol.
#[derive(Debug)]
pub(super) struct Client {
    /// Its connection, as it is once the answer is [`switching`].
    pub(super) connection: OnUpgrade,
    /// What it is going to speak.
    pub(super) protocol: &'static str,
}

impl Client {
    /// The same, for what cannot be handed over: the client must be one that takes `protocol`.
    pub(super) fn relayed(self, protocol: &'static str) -> Result<Self, Refused> {
        match self.protocol == protocol {
            true => Ok(self),
            false => Err(BadRequest::NoUpgrade(protocol.to_owned()).into()),
        }
    }
}

/// The client of a request that asks for one of `protocols`; the first that it names counts.
pub(super) fn asked(request: &mut Request, protocols: &[&'static str]) -> Result<Client, Refused> {
    let named = request.headers().get_all(header::UPGRADE).into_iter();
    let named = named.filter_map(|value| value.to_str().ok());
    let protocol = named.flat_map(|names| names.split(',')).find_map(|name| {
        protocols
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name.trim()))
    });
    let connection = request.extensions_mut().remove::<OnUpgrade>();
    match (protocol, connection) {
        (Some(protocol), Some(connection)) => Ok(Client { connection, protocol }),
        _ => Err(BadRequest::NoUpgrade(protocols.join(" or ")).into()),
    }
}

/// The answer: from now on it is `protocol`.
pub(super) fn switching(protocol: &'static str) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
    response
}
