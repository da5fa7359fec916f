//! Work that an interrupt may cut short, so that what was begun is cleared up.

use banger_api::Progress;
use banger_client::ClientError;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit;
use crate::failure::Failure;
use crate::progress::Display;

/// Does `work` unless a signal to end comes first; then the work is dropped, which the daemon takes as its end.
pub async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let interruption = interruption()?;
    tokio::select! {
        result = work => result,
        () = interruption => Err(Failure::new("interrupted", &[]).exiting(exit::INTERRUPTED)),
    }
}

/// Does long work of the daemon's, and shows how it goes: at first `what` is done, if that is said.
///
/// # Errors
/// When the work fails, or is interrupted.
pub async fn shown<T>(
    what: &str,
    work: impl AsyncFnOnce(&mut dyn FnMut(Progress)) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let mut display = Display::new("");
    if !what.is_empty() {
        display.now(what);
    }
    let mut tell = |progress: Progress| display.show(&progress);
    interruptible(async { Ok(work(&mut tell).await?) }).await
}

/// A signal to end.
pub fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::during("failed to listen for signals", &error));
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
