//! What can be seen of a forward: whether it works, and how often it was used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use banger_api::{ForwardState, VmForward};
use banger_model::{Forward, VmName};
use tokio::sync::watch;

/// Whether a forward of a VM that runs works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The guest has not said yet that it listens.
    Starting,
    /// It takes connections.
    Listening,
    /// It does not, for this reason.
    Failed(String),
}

/// How often a forward was used.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    open: AtomicU64,
    connections: AtomicU64,
    refused: AtomicU64,
}

/// A connection that is counted as open until this is dropped.
pub(crate) struct Open(Arc<Counters>);

impl Counters {
    /// Counts one that begins.
    pub(crate) fn connection(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }
}

impl Open {
    /// Counts one that came to nothing.
    pub(crate) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What can be seen of a forward.
#[derive(Debug, Clone)]
pub struct Watched {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) counters: Arc<Counters>,
}

impl Watched {
    /// A forward that could not begin.
    pub fn failed(reason: String) -> Self {
        Self {
            status: watch::channel(Status::Failed(reason)).1,
            counters: Arc::default(),
        }
    }

    /// Whether it works, once that is known.
    pub async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| *status != Status::Starting).await {
            Ok(status) => status.clone(),
            Err(_) => self.status.borrow().clone(),
        }
    }
}

/// A forward of a VM: what was asked for, and what can be seen of it while the VM runs.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What is forwarded.
    pub forward: Forward,
    /// Absent when no machine runs.
    pub watched: Option<Watched>,
}

impl Declared {
    /// One of a VM that does not run.
    pub const fn at_rest(forward: Forward) -> Self {
        Self {
            forward,
            watched: None,
        }
    }

    /// The forward as clients see it. One of a VM that runs is about to begin until it has.
    pub fn view(&self, vm: &VmName, runs: bool) -> VmForward {
        let mut view = VmForward {
            vm: vm.clone(),
            forward: self.forward,
            state: if runs {
                ForwardState::Starting
            } else {
                ForwardState::Stopped
            },
            reason: None,
            open: 0,
            connections: 0,
            refused: 0,
        };
        if let Some(Watched { status, counters }) = &self.watched {
            (view.state, view.reason) = match &*status.borrow() {
                Status::Starting => (ForwardState::Starting, None),
                Status::Listening => (ForwardState::Listening, None),
                Status::Failed(reason) => (ForwardState::Failed, Some(reason.clone())),
            };
            view.open = counters.open.load(Ordering::Relaxed);
            view.connections = counters.connections.load(Ordering::Relaxed);
            view.refused = counters.refused.load(Ordering::Relaxed);
        }
        view
    }
}
