//! How many streams go through the daemon: shells, commands and SSH end with it, so nobody is to end it unasked meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The count of streams that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<AtomicU32>);

/// One stream, which counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicU32>);

impl Streams {
    /// Counts a stream from now on.
    pub(crate) fn open(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.0))
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
