//! A shim's life: started beforehand, it waits for a connection and its order, runs the command, and waits again.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::role::DESCRIPTOR;
use super::{Order, session};
use crate::endings::Held;
use crate::socket::Blocking;

/// Runs a shim, to its end.
pub fn main() {
    // SAFETY: the server starts shims with the orders' socket at this number, and this is its only use.
    let orders = Blocking(unsafe { OwnedFd::from_raw_fd(DESCRIPTOR) });
    // Commands must not inherit it. It is open, so this cannot fail.
    let _ = rustix::io::fcntl_setfd(&orders, rustix::io::FdFlags::CLOEXEC);
    loop {
        match receive(&orders) {
            Ok(Some((connection, order))) => {
                // The guest's power-off asks the command to end; we stay to tell how it did.
                let held = Held::hold();
                // The order is ours from here on, also when the server ended meanwhile and does not hear it.
                let _ = (&orders).write_all(b"1");
                let reusable = session::run(connection, order);
                drop(held);
                if !reusable || (&orders).write_all(b"1").is_err() {
                    return;
                }
            }
            // The server ended, or needs us no more.
            Ok(None) => return,
            Err(error) => return eprintln!("banger: a command's order was lost: {error}"),
        }
    }
}

/// The length of the order, with the connection beside it; then the order.
fn receive(orders: &Blocking) -> io::Result<Option<(Blocking, Order)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 8];
    let received = recvmsg(
        orders,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
    )?;
    if received.bytes < length.len() {
        return Ok(None);
    }
    let connection = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let connection = connection.ok_or_else(|| io::Error::other("the request came without its connection"))?;
    let mut order = vec![0; usize::try_from(u64::from_be_bytes(length)).map_err(io::Error::other)?];
    let mut from = orders;
    from.read_exact(&mut order)?;
    Ok(Some((Blocking(connection), serde_json::from_slice(&order)?)))
}
