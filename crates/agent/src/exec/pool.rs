//! Shims that wait for commands, as the server holds them.
//!
//! A shim that is done with a command waits for another one, so that a command costs its own fork and exec and no
//! more. One is always in waiting, or about to be.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use banger_guest_api::Exec;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Order, Surroundings, role};
use crate::socket::Socket;

/// Shims that wait at most; the others end.
const MOST_WAITING: usize = 4;

/// How long there may be none in waiting. Short commands bring theirs back by then, and starting one meanwhile would
/// only slow them down.
const PATIENCE: Duration = Duration::from_millis(100);

/// The shims of a server.
#[derive(Debug, Default)]
pub struct Shims {
    end_with_us: bool,
    waiting: Mutex<Vec<Shim>>,
    running: AtomicU32,
}

#[derive(Debug)]
struct Shim {
    orders: Socket,
    /// Dropped, it is waited for by the runtime.
    _process: Child,
}

impl Shims {
    /// A pool with its first shim in waiting. Call it in the runtime.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn new() -> io::Result<Self> {
        let shims = Self::default();
        shims.refill()?;
        Ok(shims)
    }

    /// As [`Shims::new`], but shims are killed when this thread ends: a fake guest's commands end with it as a real
    /// guest's do.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn ending_with_us() -> io::Result<Self> {
        let shims = Self {
            end_with_us: true,
            ..Self::default()
        };
        shims.refill()?;
        Ok(shims)
    }

    /// A process of ours in another role, with one descriptor; it ends as shims do.
    ///
    /// # Errors
    /// When the descriptor cannot be had for it.
    pub(crate) fn role(&self, name: &str, role: &str, descriptor: &OwnedFd) -> io::Result<Command> {
        role::command(name, role, descriptor, self.end_with_us)
    }

    /// Commands that run.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Hands a command and its connection over, which blocks. `sent` is what the client sent after its request.
    ///
    /// # Errors
    /// When no shim in waiting takes it, and none can be started.
    pub(crate) async fn hand_over(
        self: &Arc<Self>,
        connection: OwnedFd,
        exec: Exec,
        surroundings: Surroundings,
        sent: Vec<u8>,
    ) -> io::Result<()> {
        let order = Order {
            exec,
            surroundings,
            modes: None,
            last: Vec::new(),
            sent,
        };
        let shim = self.order(&connection, &serde_json::to_vec(&order)?).await?;
        drop(connection);
        self.running.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Arc::clone(self).take_back(shim));
        tokio::time::sleep(PATIENCE).await;
        self.refill()
    }

    /// Gives the order to a shim, which says that it has it before it begins. One that was killed while it waited is
    /// passed over; it has begun nothing, so no command runs twice.
    async fn order(&self, connection: &OwnedFd, order: &[u8]) -> io::Result<Shim> {
        loop {
            let waiting = self.lock().pop();
            let Some(mut shim) = waiting else { break };
            if shim.send(connection, order).await.is_ok() {
                return Ok(shim);
            }
        }
        let mut shim = Shim::start(self.end_with_us)?;
        shim.send(connection, order).await?;
        Ok(shim)
    }

    /// Waits until a shim is done; one that can take another command says so, the others end.
    async fn take_back(self: Arc<Self>, mut shim: Shim) {
        let done = shim.orders.read_u8().await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        let mut waiting = self.lock();
        if done.is_ok() && waiting.len() < MOST_WAITING {
            waiting.push(shim);
        }
    }

    /// Puts a shim in waiting, if there is none.
    fn refill(&self) -> io::Result<()> {
        let mut waiting = self.lock();
        if waiting.is_empty() {
            waiting.push(Shim::start(self.end_with_us)?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shim>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shim {
    fn start(end_with_us: bool) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut command = role::command("@banger-command", "shim", &theirs, end_with_us)?;
        let process = command.spawn()?;
        Ok(Self {
            orders: Socket::new(ours)?,
            _process: process,
        })
    }

    /// Sends the order's length and the order, the connection beside the first bytes, and waits until the shim has it.
    async fn send(&mut self, connection: &OwnedFd, order: &[u8]) -> io::Result<()> {
        let descriptors = [connection.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let length = (order.len() as u64).to_be_bytes();
        // The buffer of a socket that nothing was sent to takes eight bytes at once.
        sendmsg(
            &self.orders,
            &[IoSlice::new(&length)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        self.orders.write_all(order).await?;
        self.orders.read_u8().await.map(drop)
    }
}
