//! Bodies that are sent, and those that come.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use serde::Serialize;

use crate::broken::Broken;

/// A body that is sent.
pub type Body = BoxBody<Bytes, io::Error>;

/// An answer could not be taken whole.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It has more bytes than it may have.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// No body.
pub fn empty() -> Body {
    whole(Bytes::new())
}

/// These bytes.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A value as JSON.
///
/// # Panics
/// When the value has a map with keys that are no strings, which no message of ours has.
pub fn json(value: &impl Serialize) -> Body {
    whole(serde_json::to_vec(value).expect("messages have only string keys"))
}

/// Chunks as they come.
pub fn chunks(chunks: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)))
}

/// The next bytes of a body that comes; nothing at its end.
///
/// # Errors
/// When the connection breaks.
pub async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Broken> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The whole of a body, which has `most` bytes at most: a peer does not decide how much memory this side takes.
///
/// # Errors
/// When the connection breaks, or the body is longer.
pub async fn collect(mut body: Incoming, most: usize) -> Result<Vec<u8>, CollectError> {
    // What it says of its length is no promise.
    let hint = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    if hint > most {
        return Err(CollectError::TooLong(most));
    }
    let mut bytes = Vec::with_capacity(hint.min(64 << 10));
    while let Some(data) = next_chunk(&mut body).await? {
        if data.len() > most - bytes.len() {
            return Err(CollectError::TooLong(most));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
