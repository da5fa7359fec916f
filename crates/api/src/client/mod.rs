//! A client of the daemon's API over its Unix socket.
//!
//! Every request has a connection of its own, and dropping the future of a request closes it, which is how work is
//! cancelled.

mod call;
mod error;
mod files;
mod handed;
mod routes;
mod secrets;
mod sessions;
mod sse;
mod stores;
mod stream;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::routes::Route;
use crate::routes::reply::{Switches, Value, Work};
use crate::{ErrorBody, Progress};

pub use error::ClientError;
pub use files::{GetStream, Hangup, Listing, PutEnd, PutStream, TarReader, TarWriter};
pub use routes::Hold;
pub use sse::{Egress, EgressEvent};
pub use stream::{Received, Receiver, Sender, Session};

use call::{At, Body, Call};
use sse::Events;

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

    /// Sends a request, whose reply is read by who asked.
    async fn open<R: Route>(&self, call: Call<R>) -> Result<Response<Incoming>, ClientError> {
        self.send(call.request()).await
    }

    /// Sends a request that is answered by one value.
    async fn value<R: Route<Reply: Value>>(
        &self,
        call: Call<R>,
    ) -> Result<<R::Reply as Value>::Value, ClientError> {
        let response = self.open(call).await?;
        serde_json::from_slice(&collect(response).await?).map_err(ClientError::Answer)
    }

    /// Sends a request of long work, and gives its result.
    async fn work<R, T>(&self, call: Call<R>, on_progress: impl FnMut(Progress)) -> Result<T, ClientError>
    where
        R: Route<Reply = Work<T>>,
        T: DeserializeOwned,
    {
        let response = self.open(call).await?;
        Events::new(response.into_body()).outcome(on_progress).await
    }

    /// Sends a request that switches the connection to another protocol.
    async fn upgraded<R: Route<Reply: Switches>>(&self, call: Call<R>) -> Result<Upgraded, ClientError> {
        let response = self.open(call).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Status(response.status().as_u16()));
        }
        hyper::upgrade::on(response).await.map_err(ClientError::Http)
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = response.into_body().collect().await.map_err(ClientError::Http)?;
    Ok(body.to_bytes())
}
