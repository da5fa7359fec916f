//! A shim's life: started beforehand, it waits for one connection and its order, runs the command, and ends.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{Order, session};
use crate::socket::Blocking;

/// The descriptor that a shim gets its order from.
pub(super) const ORDERS: i32 = 3;

/// Runs a shim, to its end.
pub fn main() {
    take_endings();
    // SAFETY: the server starts shims with the order's socket at this number, and this is its only use.
    let orders = unsafe { OwnedFd::from_raw_fd(ORDERS) };
    // Commands must not inherit it. It is open, so this cannot fail.
    let _ = rustix::io::fcntl_setfd(&orders, rustix::io::FdFlags::CLOEXEC);
    match receive(orders) {
        Ok(Some((connection, order))) => session::run(connection, order),
        // The server ended before it had a command for us.
        Ok(None) => {}
        Err(error) => eprintln!("banger: a command's order was lost: {error}"),
    }
}

/// The supervisor ignores what ends others, and what is ignored is inherited; commands must not ignore it.
fn take_endings() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        // SAFETY: the default action installs no handler.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// The connection comes beside the first byte of the order; the order is all bytes until the end.
fn receive(orders: OwnedFd) -> io::Result<Option<(Blocking, Order)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0; 1];
    let received = recvmsg(
        &orders,
        &mut [IoSliceMut::new(&mut first)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let connection = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let connection = connection.ok_or_else(|| io::Error::other("no connection came with it"))?;
    let mut bytes = first.to_vec();
    (&mut &Blocking(orders)).read_to_end(&mut bytes)?;
    Ok(Some((Blocking(connection), serde_json::from_slice(&bytes)?)))
}
