//! When a registry is asked again.

use std::time::Duration;

use oci_client::errors::OciDistributionError as Answer;

/// The pause before the first repetition; each one after it is twice as long.
const FIRST: Duration = Duration::from_millis(300);

/// How many times as long as the first a pause is at most.
const LONGEST: u32 = 32;

/// Bytes after which a stream that broke counts as one that works.
const PROGRESS: u64 = 4 << 20;

/// Whether the same question may have another answer later.
pub(super) fn is_worth_it(answer: &Answer) -> bool {
    match answer {
        Answer::ServerError { code, .. } => *code == 429 || *code >= 500,
        Answer::RequestError(error) => {
            let status = error.status().map(|status| status.as_u16());
            // A connection that is refused, or not TLS, will be so again.
            !error.is_connect() && status.is_none_or(|code| code == 429 || code >= 500)
        }
        Answer::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, oci_client::errors::OciErrorCode::Toomanyrequests)),
        Answer::IoError(_) => true,
        _ => false,
    }
}

/// How often more something is asked for.
#[derive(Debug)]
pub(super) struct Patience {
    attempts: u32,
    failed: u32,
    progress: u64,
}

impl Patience {
    /// For something that is asked for so often without progress.
    pub(super) fn new(attempts: u32) -> Self {
        Self {
            attempts,
            failed: 0,
            progress: 0,
        }
    }

    /// That many bytes came before the last failure.
    pub(super) fn progressed(&mut self, bytes: u64) {
        self.progress += bytes;
        if self.progress >= PROGRESS {
            *self = Self::new(self.attempts);
        }
    }

    /// Waits before the next time; false when there should be none.
    pub(super) async fn wait(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= self.attempts {
            return false;
        }
        tokio::time::sleep(pause(self.failed)).await;
        true
    }
}

/// Half of the pause is by chance, so that those who failed together do not come again together.
fn pause(failed: u32) -> Duration {
    let whole = FIRST * 2_u32.saturating_pow(failed - 1).min(LONGEST);
    let mut chance = [0; 1];
    let _ = rustix::rand::getrandom(&mut chance, rustix::rand::GetRandomFlags::empty());
    whole / 2 + whole * u32::from(chance[0]) / 512
}

/// Asks until there is an answer that will not change. Unless `insist` says so of an answer, what fails is not asked for
/// again: there is someone else to ask.
pub(super) async fn retrying<T>(
    attempts: u32,
    insist: impl Fn(&Answer) -> bool,
    ask: impl AsyncFn() -> Result<T, Answer>,
) -> Result<T, Answer> {
    let mut patience = Patience::new(attempts);
    loop {
        match ask().await {
            Err(answer) if insist(&answer) && is_worth_it(&answer) => {
                if !patience.wait().await {
                    return Err(answer);
                }
            }
            result => return result,
        }
    }
}
