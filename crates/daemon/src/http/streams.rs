//! Streams between clients and agents: handed over where the client can take a descriptor, else relayed, byte for byte.
//!
//! What is relayed goes through the daemon: it ends with it, so it is counted, and nobody is to end the daemon unasked meanwhile. What
//! was handed over is no concern of the daemon's any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::Request;
use axum::response::Response;
use banger_api::stream::HANDED_OVER;
use banger_forward as forward;
use banger_guest_link::AgentStream;
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::answer::{BadRequest, Refused};
use super::handover::handed_over;
use super::upgrade::{Client, switching};

/// Longer than any command line that Linux takes with its variables.
const MAX_REQUEST: usize = 4 << 20;

/// Bytes that are held in each direction.
const BUFFER: usize = 256 << 10;

/// The count of streams that are relayed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<AtomicU32>);

/// One stream, which counts until this is dropped.
#[derive(Debug)]
struct Open(Arc<AtomicU32>);

impl Streams {
    /// How many there are now.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Connects a client and an agent that speak one protocol.
    pub(super) fn connect(&self, client: Client, mut agent: AgentStream) -> Response {
        if client.protocol == HANDED_OVER {
            return handed_over(client.connection, agent);
        }
        self.relay(client, async move |client| {
            let mut client = TokioIo::new(client);
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut agent, BUFFER, BUFFER)
                .await
                .map(drop)
        })
    }

    /// Connects a client and a tunnel, which has frames.
    pub(super) fn join_tunnel(&self, client: Client, tunnel: AgentStream) -> Response {
        self.relay(client, async move |client| {
            forward::join(TokioIo::new(client), tunnel).await
        })
    }

    /// Relays for a client, once it has the answer.
    fn relay<F>(&self, client: Client, carry: impl FnOnce(Upgraded) -> F + Send + 'static) -> Response
    where
        F: Future<Output = io::Result<()>> + Send,
    {
        let Client { connection, protocol } = client;
        let open = self.open();
        tokio::spawn(async move {
            let _open = open;
            let carried = match connection.await {
                Ok(client) => carry(client).await,
                Err(error) => {
                    return tracing::warn!(%error, "a client requested a stream and did not use it");
                }
            };
            // Either side may leave at any time; that ends the command or its watcher, and is no failure of ours.
            if let Err(error) = carried {
                tracing::debug!(%error, "a stream ended early");
            }
        });
        switching(protocol)
    }

    fn open(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a request for a stream. An empty one is taken as `{}`; one that is too long, or was cut off, is not.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refused> {
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let bytes = body.map_err(BadRequest::Stream)?.to_bytes();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    Ok(serde_json::from_slice(text).map_err(BadRequest::Body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::Value;

    #[tokio::test]
    async fn what_did_not_come_whole_is_not_taken_for_nothing() {
        let asked = |body| read::<Value>(Request::new(body));
        assert_eq!(asked(Body::empty()).await.unwrap(), serde_json::json!({}));
        let long = Body::from(format!("\"{}\"", "x".repeat(MAX_REQUEST)));
        let cut = futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("closed"))]);
        for body in [long, Body::from_stream(cut)] {
            let refused = asked(body).await.unwrap_err();
            assert_eq!(refused.0.code, banger_model::ErrorCode::InvalidRequest);
        }
    }
}
