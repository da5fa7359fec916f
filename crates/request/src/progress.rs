//! Telling a client what goes on, whether or not it still listens.

use std::time::Instant;

use banger_api::Progress;
use banger_model::Stage;
use tokio::sync::mpsc;

/// Where the words of one request's progress go.
#[derive(Debug, Clone, Default)]
pub struct Reporter {
    to: Option<mpsc::UnboundedSender<Progress>>,
}

impl Reporter {
    /// Reports to `to`.
    pub fn to(to: mpsc::UnboundedSender<Progress>) -> Self {
        Self { to: Some(to) }
    }

    /// One, and what is reported to it.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Progress>) {
        let (to, reports) = mpsc::unbounded_channel();
        (Self::to(to), reports)
    }

    /// Says one thing. A client that went away is not told; its request is cancelled elsewhere.
    pub fn report(&self, progress: Progress) {
        if let Some(to) = &self.to {
            let _ = to.send(progress);
        }
    }

    /// Says a sentence.
    pub fn note(&self, text: impl Into<String>) {
        self.report(Progress::Note { text: text.into() });
    }

    /// Says that a stage has ended, which began at `since`; gives the microseconds it took.
    pub fn stage(&self, stage: Stage, since: Instant) -> u64 {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.report(Progress::Stage { stage, micros });
        micros
    }
}
