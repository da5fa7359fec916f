//! When a registry is asked again.

use banger_fetch::pause_after;

use crate::answer::Answer;

/// Bytes after which a stream that broke counts as one that works.
const PROGRESS: u64 = 4 << 20;

/// How often more something is asked for.
#[derive(Debug)]
pub(crate) struct Patience {
    attempts: u32,
    failed: u32,
    progress: u64,
}

impl Patience {
    /// For something that is asked for so often without progress.
    pub(crate) fn new(attempts: u32) -> Self {
        Self {
            attempts,
            failed: 0,
            progress: 0,
        }
    }

    /// That many bytes came before the last failure.
    pub(crate) fn progressed(&mut self, bytes: u64) {
        self.progress += bytes;
        if self.progress >= PROGRESS {
            *self = Self::new(self.attempts);
        }
    }

    /// Waits before the next time; false when there should be none.
    pub(crate) async fn wait(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= self.attempts {
            return false;
        }
        tokio::time::sleep(pause_after(self.failed)).await;
        true
    }
}

/// Asks until there is an answer that will not change. Unless `insist` says so of an answer, what fails is not asked for
/// again: there is someone else to ask.
pub(crate) async fn retrying<T>(
    attempts: u32,
    insist: impl Fn(&Answer) -> bool,
    ask: impl AsyncFn() -> Result<T, Answer>,
) -> Result<T, Answer> {
    let mut patience = Patience::new(attempts);
    loop {
        match ask().await {
            Err(answer) if insist(&answer) && answer.may_pass() => {
                if !patience.wait().await {
                    return Err(answer);
                }
            }
            result => return result,
        }
    }
}
