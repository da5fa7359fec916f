//! What all forwards of this daemon share: who has which port, and when to let go of them.

use std::sync::{Arc, Mutex, PoisonError};

use banger_model::{Protocol, VmName};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all forwards of this daemon share: who has which port, and when to let go of them.
#[derive(Debug, Default)]
pub struct Table {
    held: Mutex<Vec<(Protocol, u16, VmName)>>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Table {
    /// Gives back every port, and returns when they are free: the next daemon wants them.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The VM that has a port of the host.
    pub(crate) fn owner(&self, protocol: Protocol, port: u16) -> Option<VmName> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owners = held.iter().filter(|held| (held.0, held.1) == (protocol, port));
        owners.next().map(|(_, _, vm)| vm.clone())
    }

    pub(crate) fn hold(self: &Arc<Self>, protocol: Protocol, port: u16, vm: VmName) -> Held {
        let entry = (protocol, port, vm);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(entry.clone());
        Held {
            table: Arc::clone(self),
            entry,
        }
    }

    /// Runs the work of a forward until it is ended, or the daemon is.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
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
pub(crate) struct Held {
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
