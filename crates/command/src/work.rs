//! Work that an interrupt may cut short, so that what was begun is cleared up.

use tokio::signal::unix::{SignalKind, signal};

use crate::exit;
use crate::failure::Failure;

/// Does `work` unless a signal to end comes first; then the work is dropped, which the daemon takes as its end.
pub async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let interruption = interruption()?;
    tokio::select! {
        result = work => result,
        () = interruption => Err(Failure::new("interrupted", &[]).exiting(exit::INTERRUPTED)),
    }
}

/// A signal to end.
pub fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::during("take signals", &error));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
