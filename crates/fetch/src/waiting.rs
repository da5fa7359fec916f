//! Waiting for the network on a thread, which ends at once when nobody wants what is waited for any more.

use std::io;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A runtime for what a thread waits for.
#[derive(Debug)]
pub struct Waiting {
    /// There until this is dropped.
    runtime: Option<Runtime>,
    called_off: CancellationToken,
}

/// Nobody wants it any more.
#[derive(Debug, thiserror::Error)]
#[error("the download is no longer needed")]
pub struct CalledOff;

impl Waiting {
    /// Waits until `called_off` is cancelled.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn new(called_off: CancellationToken) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            called_off,
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken by drop alone")
    }

    /// Waits for `work`. It must not be called where other tasks run.
    ///
    /// # Errors
    /// When nobody wants it any more.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, CalledOff> {
        self.wait_unless(&self.called_off, work)
    }

    /// Waits for `work` unless this token is cancelled.
    ///
    /// # Errors
    /// When it is.
    pub fn wait_unless<T>(
        &self,
        called_off: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> Result<T, CalledOff> {
        let work = called_off.run_until_cancelled(work);
        self.runtime().block_on(work).ok_or(CalledOff)
    }

    /// Has `work` done beside this thread, as long as this is there.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(work);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Looking up a name cannot be interrupted; nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
