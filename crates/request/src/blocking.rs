//! Blocking work of a request, on a thread for it.

use banger_caller::Caller;
use banger_model::{Describe, Description, ErrorBody, ErrorCode, body};

use crate::RequestId;

/// The work panicked.
#[derive(Debug, thiserror::Error)]
#[error("{0} panicked (a bug in banger: see the daemon's log)")]
pub struct Panicked(pub &'static str);

impl Describe for Panicked {
    fn describe(&self) -> Description {
        ErrorCode::Internal.into()
    }
}

/// Does blocking work on a thread for it, for the caller of the request.
pub async fn blocking<T: Send + 'static, E: Describe + Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ErrorBody> {
    let (caller, request) = (Caller::current(), RequestId::current());
    match tokio::task::spawn_blocking(move || request.scope(|| Caller::scope(caller, work))).await {
        Ok(result) => result.map_err(|error| body(&error)),
        Err(_) => Err(body(&Panicked(what))),
    }
}
