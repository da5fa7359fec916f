//! Work that an interrupt cancels, with cleanup.

use banger_api::Progress;
use banger_client::ClientError;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit;
use crate::failure::Failure;
use crate::progress::Display;

/// Runs `work` until it is done or a termination signal arrives. Then the work is dropped, which cancels it in the
/// daemon.
pub async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let interruption = interruption()?;
    tokio::select! {
        result = work => result,
        () = interruption => Err(Failure::new("interrupted", &[]).exiting(exit::INTERRUPTED)),
    }
}

/// Runs long work of the daemon and shows its progress, first with the activity `what`, if that is not empty.
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
    let mut show = |progress: Progress| display.show(&progress);
    interruptible(async { Ok(work(&mut show).await?) }).await
}

/// Waits for a termination signal.
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
