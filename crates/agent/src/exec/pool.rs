//! Shims that wait for commands, as the server holds them.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use banger_guest_api::Exec;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};

use super::shim::ORDERS;
use super::{Order, Surroundings};
use crate::socket::Blocking;

/// The shims of a server. One is always in waiting.
#[derive(Debug, Default)]
pub struct Shims {
    end_with_us: bool,
    waiting: Mutex<Option<Shim>>,
    running: Arc<AtomicU32>,
}

#[derive(Debug)]
struct Shim {
    orders: OwnedFd,
    process: std::process::Child,
}

impl Shims {
    /// A pool with its first shim in waiting.
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

    /// Commands that run.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Hands a command and its connection over. `sent` is what the client sent after its request. Blocks for as long
    /// as it takes to write the order into a socket.
    ///
    /// # Errors
    /// When there is no shim in waiting and none can be started, or it died.
    pub(crate) fn hand_over(
        &self,
        connection: OwnedFd,
        exec: Exec,
        surroundings: Surroundings,
        sent: Vec<u8>,
    ) -> io::Result<()> {
        let waiting = self.lock().take();
        let mut shim = match waiting {
            Some(shim) => shim,
            None => Shim::start(self.end_with_us)?,
        };
        let order = Order {
            exec,
            surroundings,
            sent,
        };
        send(&shim.orders, &connection, &serde_json::to_vec(&order)?)?;
        drop(shim.orders);
        let running = Arc::clone(&self.running);
        running.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let _ = shim.process.wait();
            running.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }

    /// Puts a shim in waiting, if there is none.
    ///
    /// # Errors
    /// When no process can be started.
    pub(crate) fn refill(&self) -> io::Result<()> {
        let mut waiting = self.lock();
        if waiting.is_none() {
            *waiting = Some(Shim::start(self.end_with_us)?);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Shim>> {
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
        // Above the number it gets, so that what is done in the child is a true copy, without close-on-exec.
        let theirs = rustix::io::fcntl_dupfd_cloexec(theirs, ORDERS + 1)?;
        let number = theirs.as_raw_fd();
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("@banger-command")
            .arg("shim")
            .env_clear()
            .stdin(Stdio::null());
        // SAFETY: prctl(2) and dup2(2) are async-signal-safe; the source is open in the child, as it is close-on-exec and not yet
        // executed, and the target belongs to nobody: the server's own descriptors end at the exec.
        unsafe {
            command.pre_exec(move || {
                if end_with_us {
                    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
                }
                match libc::dup2(number, ORDERS) {
                    -1 => Err(io::Error::last_os_error()),
                    _ => Ok(()),
                }
            });
        }
        let process = command.spawn()?;
        Ok(Self {
            orders: ours,
            process,
        })
    }
}

fn send(orders: &OwnedFd, connection: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let descriptors = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(
        orders,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    let rest = Blocking(orders.try_clone()?);
    (&rest).write_all(&bytes[sent..])?;
    rest.end();
    Ok(())
}
