//! The process of one connection: its order and its end.

use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

use banger_guest_api::ssh::decode_key;
use banger_ssh::{HostKey, PublicKey, Server, Users};
use tokio::task::LocalSet;

use super::Order;
use super::busy::Busy;
use super::dispatch::Dispatch;
use super::link::Link;
use crate::endings::Held;
use crate::exec::account;
use crate::exec::{DESCRIPTOR, Surroundings};
use crate::failure::{During, refused};
use crate::socket::Socket;

/// Serves the connection that this process was started with, to its end.
pub fn main() {
    // SAFETY: the server starts such processes with a connection at this number, and this is its only use.
    let connection = unsafe { OwnedFd::from_raw_fd(DESCRIPTOR) };
    // Commands must not inherit it. It is open, so this cannot fail.
    let _ = rustix::io::fcntl_setfd(&connection, rustix::io::FdFlags::CLOEXEC);
    if let Err(failure) = run(connection) {
        eprintln!(
            "banger: failed to serve SSH: {} {}",
            failure.message,
            failure.causes.join(": ")
        );
    }
}

fn run(connection: OwnedFd) -> Result<(), banger_guest_api::Failure> {
    let mut order = Vec::new();
    io::stdin()
        .read_to_end(&mut order)
        .during("read the order of the SSH server")?;
    let order: Order = serde_json::from_slice(&order).during("parse the order of the SSH server")?;
    let seed = decode_key(&order.ssh.host_key).and_then(|seed| HostKey::new(&seed));
    let host = seed.ok_or_else(|| refused("the SSH host key is invalid"))?;
    let keys = order.ssh.keys.iter().filter_map(|key| decode_key(key));
    let users = Box::new(Accounts(order.surroundings.clone()));
    let server = Server::new(host, keys.map(PublicKey).collect(), users).during("start the SSH server")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Where names are resolved; a signal to end is this thread's matter.
        .on_thread_start(|| std::mem::forget(Held::hold()))
        .build()
        .during("start the runtime")?;
    let set = LocalSet::new();
    set.block_on(&runtime, async move {
        let socket = Socket::new(connection).during("watch the connection")?;
        let link = Link::new(server);
        let busy = Rc::<Busy>::default();
        let mut surroundings = order.surroundings;
        surroundings.env.extend(order.ssh.env);
        let mut dispatch = Dispatch::new(&link, surroundings, Rc::clone(&busy));
        // How it ended is the client's to tell.
        let _ = link.run(socket, &order.sent, |event| dispatch.hear(event)).await;
        drop(dispatch);
        // Commands that do not end by the hang-up go on as they would without us; their output is taken until they do.
        busy.none().await;
        Ok(())
    })
}

struct Accounts(Surroundings);

impl Users for Accounts {
    fn knows(&self, name: &str) -> bool {
        // A number, or a group with it, is no name of a user's.
        !name.contains(':') && name.parse::<u32>().is_err() && account::of(Some(name), &self.0).is_ok()
    }
}
