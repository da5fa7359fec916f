//! Requests to one daemon, and what comes back.

use std::path::PathBuf;

use banger_api::routes::Route;
use banger_api::routes::reply::{Value, Work};
use banger_api::routes::switch::Switches;
use banger_api::{ErrorBody, Progress, caller};
use banger_wire::{Asked, Body, CollectError, Peer, Response, Switched, collect, send, switch};
use http::{HeaderValue, Request};
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::connector::{Connector, Stream};
use crate::error::ClientError;
use crate::sse::Events;

/// The most bytes of an answer: a plan of a workspace names each of its files.
const MOST_ANSWER: usize = 256 << 20;

/// The most bytes of a failure.
const MOST_FAILURE: usize = 4 << 20;

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    connector: Connector,
    /// See [`caller`].
    caller: Option<HeaderValue>,
}

impl Client {
    /// A client of the daemon at `socket`; nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self::by(Connector::Unix(socket.into()))
    }

    /// A client of the daemon that `connector` leads to; nothing is connected yet.
    pub fn by(connector: Connector) -> Self {
        Self {
            connector,
            caller: None,
        }
    }

    /// The same, whose requests have the environment of this process: see [`caller`].
    #[must_use]
    pub fn of_this_process(self) -> Self {
        let header = caller::header(|name| std::env::var_os(name));
        Self {
            caller: HeaderValue::from_str(&header).ok(),
            ..self
        }
    }

    /// The way to the daemon.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request, whose reply is read by who asked.
    pub(crate) async fn open<R: Route>(&self, call: Call<R>) -> Result<Response, ClientError> {
        let (stream, request) = self.begin(call).await?;
        let response = send(stream, Peer::Ours, request).await;
        let response = response.map_err(ClientError::Http)?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response).await),
        }
    }

    /// Sends a request that is answered by one value.
    pub(crate) async fn value<R: Route<Reply: Value>>(
        &self,
        call: Call<R>,
    ) -> Result<<R::Reply as Value>::Value, ClientError> {
        let response = self.open(call).await?;
        let body = whole(response, MOST_ANSWER).await?;
        serde_json::from_slice(&body).map_err(ClientError::Answer)
    }

    /// Sends a request of long work, and gives its result.
    pub(crate) async fn work<R, T>(
        &self,
        call: Call<R>,
        on_progress: impl FnMut(Progress),
    ) -> Result<T, ClientError>
    where
        R: Route<Reply = Work<T>>,
        T: DeserializeOwned,
    {
        let response = self.open(call).await?;
        Events::new(response.into_body()).outcome(on_progress).await
    }

    /// Sends a request that switches the connection to another protocol.
    pub(crate) async fn upgraded<R: Route<Reply: Switches>>(
        &self,
        call: Call<R>,
    ) -> Result<Switched<Stream>, ClientError> {
        let (stream, request) = self.begin(call).await?;
        match switch(stream, Peer::Ours, request)
            .await
            .map_err(ClientError::Http)?
        {
            Asked::Switched(switched) => Ok(switched),
            Asked::Answered(response) => Err(refusal(response).await),
        }
    }

    /// A connection, and what is sent over it.
    async fn begin<R: Route>(&self, call: Call<R>) -> Result<(Stream, Request<Body>), ClientError> {
        let mut request = call.request();
        if let Some(caller) = &self.caller {
            request.headers_mut().insert(caller::HEADER, caller.clone());
        }
        let stream = self.connector.connect().await;
        let stream = stream.map_err(|source| ClientError::Connect {
            to: self.connector.clone(),
            source,
        })?;
        Ok((stream, request))
    }
}

/// Why the daemon does not do what it was asked.
async fn refusal(response: Response) -> ClientError {
    let status = response.status().as_u16();
    match whole(response, MOST_FAILURE).await {
        Ok(body) => match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => ClientError::Api(Box::new(body)),
            Err(_) => ClientError::Status(status),
        },
        Err(error) => error,
    }
}

async fn whole(response: Response, most: usize) -> Result<Vec<u8>, ClientError> {
    collect(response.into_body(), most)
        .await
        .map_err(|error| match error {
            CollectError::Broken(broken) => ClientError::Http(broken),
            CollectError::TooLong(most) => ClientError::TooLong(most),
        })
}
