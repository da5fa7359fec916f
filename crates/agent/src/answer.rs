//! What every request of the agent's HTTP server needs: its body read, its answer made, its connection taken over.

use std::io;

use banger_guest_api::Failure;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{During, refused};
use crate::socket::Socket;

/// Longer than any request but a tree.
const MAX_REQUEST: usize = 8 << 20;

/// What a request gets.
pub(crate) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// What a request asks for.
///
/// # Errors
/// When it is too long, breaks off, or is not a `T`.
pub(crate) async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Failure> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let bytes = body
        .map_err(|error| refused(format!("failed to read the request: {error}")))?
        .to_bytes();
    serde_json::from_slice(&bytes).during("parse the request")
}

/// An answer in JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).expect("messages have only string keys");
    let mut answer = Response::new(full(bytes.into()));
    *answer.status_mut() = status;
    answer
}

/// The answer after which the connection is `protocol`.
pub(crate) fn switching(protocol: &'static str) -> Answer {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// The connection of a client that got [`switching`], and what it has already sent.
pub(crate) async fn stream(upgrade: OnUpgrade) -> Option<(Socket, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Socket>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

fn full(bytes: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
