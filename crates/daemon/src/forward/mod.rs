//! Forwards at work: the host's side of every port that goes through it, over vsock.
//!
//! ```text
//!  client ──▶ publish (tcp, udp): listens here ── Connect ──▶ agent ──▶ the guest's 127.0.0.1
//!  the guest's program ──▶ agent ◀── Listen, Take ── reverse ──▶ this host's 127.0.0.1
//! ```
//!
//! Each connection, or flow of datagrams, is one vsock connection, so the kernels hold back who sends too fast, and what
//! is held here is one buffer in each direction. A [`Running`] belongs to its VM's task; what it does can be seen by its
//! [`Watched`].

mod error;
mod holder;
mod listing;
mod publish;
mod relay;
mod reverse;
mod socket;
mod tcp;
#[cfg(test)]
mod testing;
mod udp;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banger_api::{ForwardState, VmForward};
use banger_guest_api::{Connect, Take};
use banger_model::{Forward, Protocol, VmName};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use banger_guest_link::{self as guest, Agent, AgentStream};

pub(crate) use error::Error;
pub(crate) use listing::ports;
pub(crate) use publish::{probe, refuse_open};
pub(crate) use relay::join;

/// The most connections into one guest at once; those that come then wait in the kernel.
const MOST_INTO: usize = 512;

/// The most connections out of one guest at once: a guest does not decide how much the host takes on.
const MOST_OUT_OF: usize = 128;

/// The most that are being made at once: the agent's listener has no room for many more that it has not accepted yet.
const MOST_ASKED: usize = 32;

/// How long one of those is taken for one that the agent has not accepted. Later, it is the guest's program that is slow.
const ACCEPTED: Duration = Duration::from_millis(500);

/// What all forwards of this daemon share: who has which port, and when to let go of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    held: Mutex<Vec<(Protocol, u16, VmName)>>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Table {
    /// Gives back every port, and returns when they are free: the next daemon wants them.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The VM that has a port of the host.
    fn owner(&self, protocol: Protocol, port: u16) -> Option<VmName> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owners = held.iter().filter(|held| (held.0, held.1) == (protocol, port));
        owners.next().map(|(_, _, vm)| vm.clone())
    }

    fn hold(self: &Arc<Self>, protocol: Protocol, port: u16, vm: VmName) -> Held {
        let entry = (protocol, port, vm);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(entry.clone());
        Held {
            table: Arc::clone(self),
            entry,
        }
    }

    /// Runs the work of a forward until it is ended, or the daemon is.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = closing.cancelled() => {}
            }
        })
    }
}

/// An entry of the table, until it is dropped.
#[derive(Debug)]
struct Held {
    table: Arc<Table>,
    entry: (Protocol, u16, VmName),
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.table.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = held.iter().position(|entry| *entry == self.entry) {
            held.swap_remove(index);
        }
    }
}

/// Whether a forward of a VM that runs works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// The guest has not said yet that it listens.
    Starting,
    /// It takes connections.
    Listening,
    /// It does not, for this reason.
    Failed(String),
}

/// How often a forward was used.
#[derive(Debug, Default)]
struct Counters {
    open: AtomicU64,
    connections: AtomicU64,
    refused: AtomicU64,
}

/// A connection that is counted as open until this is dropped.
struct Open(Arc<Counters>);

impl Counters {
    fn connection(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }
}

impl Open {
    fn refused(&self) {
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
pub(crate) struct Watched {
    status: watch::Receiver<Status>,
    counters: Arc<Counters>,
}

impl Watched {
    /// A forward that could not begin.
    pub(crate) fn failed(reason: String) -> Self {
        Self {
            status: watch::channel(Status::Failed(reason)).1,
            counters: Arc::default(),
        }
    }

    /// Whether it works, once that is known.
    pub(crate) async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| *status != Status::Starting).await {
            Ok(status) => status.clone(),
            Err(_) => self.status.borrow().clone(),
        }
    }
}

/// A forward of a VM: what was asked for, and what can be seen of it while the VM runs.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// What is forwarded.
    pub(crate) forward: Forward,
    /// Absent when no machine runs.
    pub(crate) watched: Option<Watched>,
}

impl Declared {
    /// One of a VM that does not run.
    pub(crate) const fn at_rest(forward: Forward) -> Self {
        Self {
            forward,
            watched: None,
        }
    }

    /// The forward as clients see it. One of a VM that runs is about to begin until it has.
    pub(crate) fn view(&self, vm: &VmName, runs: bool) -> VmForward {
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

/// The way to the guest of a running VM, for all its forwards.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    table: Arc<Table>,
    vm: VmName,
    guest: Agent,
    into: Arc<Semaphore>,
    out_of: Arc<Semaphore>,
    asking: Arc<Semaphore>,
}

impl Route {
    /// The way to `guest`, which is that of `vm`.
    pub(crate) fn new(table: Arc<Table>, vm: VmName, guest: Agent) -> Self {
        Self {
            table,
            vm,
            guest,
            into: Arc::new(Semaphore::new(MOST_INTO)),
            out_of: Arc::new(Semaphore::new(MOST_OUT_OF)),
            asking: Arc::new(Semaphore::new(MOST_ASKED)),
        }
    }

    /// Makes a tunnel to a port of the guest.
    async fn connect(&self, connect: &Connect) -> Result<AgentStream, guest::Error> {
        self.in_turn(self.guest.connect(connect)).await
    }

    /// Makes a tunnel to a connection that a port of the guest got.
    async fn take(&self, take: &Take) -> Result<AgentStream, guest::Error> {
        self.in_turn(self.guest.take(take)).await
    }

    async fn in_turn<T>(&self, asking: impl Future<Output = T>) -> T {
        // It is never closed.
        let turn = self.asking.acquire().await;
        tokio::pin!(asking);
        match tokio::time::timeout(ACCEPTED, &mut asking).await {
            Ok(answer) => answer,
            Err(_) => {
                drop(turn);
                asking.await
            }
        }
    }

    /// Begins a forward. What is given back has the port that it got, if it asked for a free one. Call it in the runtime.
    pub(crate) fn begin(&self, forward: Forward) -> Result<Running, Error> {
        match forward {
            Forward::Publish(publish) => publish::begin(self, publish),
            Forward::Reverse(reverse) => Ok(reverse::begin(self, reverse)),
        }
    }
}

/// A forward at work. Dropping it ends it soon, with its connections.
#[derive(Debug)]
pub(crate) struct Running {
    /// What is forwarded.
    pub(crate) forward: Forward,
    /// What can be seen of it.
    pub(crate) watched: Watched,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends it, and returns when its port is free.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
