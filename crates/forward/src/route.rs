//! The way to a guest, for all forwards of its VM, and how much goes that way at once.

use std::sync::Arc;
use std::time::Duration;

use banger_guest_api::{Connect, Take};
use banger_guest_link::{Agent, AgentStream, Error};
use banger_model::VmName;
use tokio::sync::Semaphore;

use crate::table::Table;

/// The most connections into one guest at once; those that come then wait in the kernel.
const MOST_INTO: usize = 512;

/// The most connections out of one guest at once: a guest does not decide how much the host takes on.
pub(crate) const MOST_OUT_OF: usize = 128;

/// The most that are being made at once: the agent's listener has no room for many more that it has not accepted yet.
const MOST_ASKED: usize = 32;

/// How long one of those is taken for one that the agent has not accepted. Later, it is the guest's program that is slow.
const ACCEPTED: Duration = Duration::from_millis(500);

/// The way to the guest of a running VM, for all its forwards.
#[derive(Debug, Clone)]
pub struct Route {
    pub(crate) table: Arc<Table>,
    pub(crate) vm: VmName,
    pub(crate) guest: Agent,
    pub(crate) into: Arc<Semaphore>,
    pub(crate) out_of: Arc<Semaphore>,
    asking: Arc<Semaphore>,
}

impl Route {
    /// The way to `guest`, which is that of `vm`.
    pub fn new(table: Arc<Table>, vm: VmName, guest: Agent) -> Self {
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
    pub(crate) async fn connect(&self, connect: &Connect) -> Result<AgentStream, Error> {
        self.in_turn(self.guest.connect(connect)).await
    }

    /// Makes a tunnel to a connection that a port of the guest got.
    pub(crate) async fn take(&self, take: &Take) -> Result<AgentStream, Error> {
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
}
