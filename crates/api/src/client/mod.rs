//! A client of the daemon's API over its Unix socket.
//!
//! Every request has a connection of its own, and dropping the future of a request closes it, which is how work is
//! cancelled.

mod error;
mod files;
mod routes;
mod secrets;
mod sessions;
mod sse;
mod stores;
mod stream;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{ErrorBody, Progress};

pub use error::ClientError;
pub use files::{GetStream, Hangup, Listing, PutEnd, PutStream, TarReader, TarWriter};
pub use sse::{Egress, EgressEvent};
pub use stream::{Received, Receiver, Sender, Session};

use sse::Events;

type Body = BoxBody<Bytes, std::io::Error>;

/// A client of the daemon at one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    /// See [`crate::caller`].
    caller: Option<HeaderValue>,
}

impl Client {
    /// A client of the daemon at `socket`; nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            caller: None,
        }
    }

    /// The same, whose requests have the environment of this process: see [`crate::caller`].
    #[must_use]
    pub fn of_this_process(self) -> Self {
        let header = crate::caller::header(|name| std::env::var_os(name));
        Self {
            caller: HeaderValue::from_str(&header).ok(),
            ..self
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        if let Some(caller) = &self.caller {
            request
                .headers_mut()
                .insert(crate::caller::HEADER, caller.clone());
        }
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Connect {
                socket: self.socket.clone(),
                source,
            })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ClientError::Http)?;
        // It lives as long as the request, its response and its upgrade; its errors come out of those.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(ClientError::Http)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = collect(response).await?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(ClientError::Api(Box::new(body))),
            Err(_) => Err(ClientError::Status(status.as_u16())),
        }
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let response = self.send(request(method, path, body)).await?;
        serde_json::from_slice(&collect(response).await?).map_err(ClientError::Answer)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::GET, path, None).await
    }

    /// Sends a request whose answer does not matter, only that it is none of failure.
    async fn order(&self, method: Method, path: &str) -> Result<(), ClientError> {
        self.send(request::<()>(method, path, None)).await.map(drop)
    }

    /// Sends a request that is answered by events, and gives how it ended.
    async fn follow<T: DeserializeOwned>(
        &self,
        request: Request<Body>,
        on_progress: impl FnMut(Progress),
    ) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        Events::new(response.into_body()).outcome(on_progress).await
    }
}

fn request<B: Serialize>(method: Method, path: &str, body: Option<&B>) -> Request<Body> {
    let bytes = body.map(|body| serde_json::to_vec(body).expect("API types have only string keys"));
    let body = Full::new(Bytes::from(bytes.unwrap_or_default())).map_err(|never| match never {});
    build(method, path, body.boxed())
}

fn build(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "bangerd")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .expect("paths of the API are encoded")
}

/// A body of chunks as they come.
fn streamed(
    chunks: impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
) -> Body {
    BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = response.into_body().collect().await.map_err(ClientError::Http)?;
    Ok(body.to_bytes())
}

/// A segment of a path, percent-encoded (RFC 3986, section 2.1).
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
