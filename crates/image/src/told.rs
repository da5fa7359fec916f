//! Telling how far work on bytes has come, as often as somebody wants to read it.

use std::ops::ControlFlow;

/// Is told the bytes of input that were read, and of how many if that is known; `Break` cancels.
pub type Progress<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// Nobody wants the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the import was cancelled")]
pub struct Cancelled;

/// Bytes between two words of progress.
const STEP: u64 = 1 << 20;

/// How far work has come, and who is told.
pub(crate) struct Told<'a> {
    progress: Progress<'a>,
    done: u64,
    total: u64,
    /// When it is told again.
    tell_at: u64,
}

impl<'a> Told<'a> {
    /// Work on about `total` bytes.
    pub(crate) fn new(progress: Progress<'a>, total: u64) -> Self {
        Self {
            progress,
            done: 0,
            total,
            tell_at: 0,
        }
    }

    /// So many more bytes are done.
    ///
    /// # Errors
    /// When nobody wants the rest.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), Cancelled> {
        self.done += bytes;
        if self.done < self.tell_at {
            return Ok(());
        }
        self.tell_at = self.done + STEP;
        match (self.progress)(self.done.min(self.total), Some(self.total)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Cancelled),
        }
    }
}
