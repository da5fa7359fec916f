//! A keeper's start: a process that is executed again, so that it has nothing of the server's but two descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use tokio::process::Command;

use super::keeper::{Keeper, Recipe};
use super::order::{Answer, Incoming, Order, Received};
use super::place::Place;
use crate::failure::refused;
use crate::socket::Socket;
use crate::{descriptors, endings};

/// What keepers are called. systemd spares root's processes with such a name to the last (its `ROOT_STORAGE_DAEMONS`).
const NAME: &str = "@banger-session";

/// The descriptors that a keeper gets its first order from, and the directory of all sessions.
const ORDERS: i32 = 3;
const SESSIONS: i32 = 4;

/// Starts a keeper for a session; it waits for its first order. Call it in the runtime, which waits for its end.
pub(super) fn start(sessions: &OwnedFd, name: &str, end_with_us: bool) -> io::Result<Socket> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // Above the numbers they get, so that what is done in the child are true copies, without close-on-exec.
    let theirs = rustix::io::fcntl_dupfd_cloexec(theirs, SESSIONS + 1)?;
    let sessions = rustix::io::fcntl_dupfd_cloexec(sessions, SESSIONS + 1)?;
    let copies = [(theirs.as_raw_fd(), ORDERS), (sessions.as_raw_fd(), SESSIONS)];
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .args(["session", name])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null());
    // SAFETY: signal(2), setrlimit(2), setsid(2), prctl(2) and dup2(2) are async-signal-safe; the sources are open in the
    // child, as they are close-on-exec and not yet executed, and the targets belong to nobody: the server's own
    // descriptors end at the exec.
    unsafe {
        command.pre_exec(move || {
            // What the server ignores would be ignored by the session's command too.
            endings::take();
            descriptors::give_back()?;
            // What is sent to the server's group is not for its sessions.
            rustix::process::setsid()?;
            if end_with_us {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            }
            for (from, to) in copies {
                if libc::dup2(from, to) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    // Dropped, the process is waited for by the runtime.
    Command::from(command).spawn()?;
    Socket::new(ours)
}

/// Runs a keeper, to its end.
pub fn main() {
    // SAFETY: the server starts keepers with these descriptors at these numbers, and this is their only use.
    let (orders, sessions) = unsafe { (OwnedFd::from_raw_fd(ORDERS), BorrowedFd::borrow_raw(SESSIONS)) };
    for descriptor in [ORDERS, SESSIONS] {
        // Commands must not inherit them. They are open, so this cannot fail.
        // SAFETY: as above.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
    }
    let mut incoming = Incoming::default();
    let (order, connection) = loop {
        match incoming.read(&orders) {
            Received::Part => {}
            Received::Whole(order, connection) => break (order, connection),
            // The server ended.
            Received::Nothing => return,
        }
    };
    let begun = match (order, connection) {
        (
            Order::Begin {
                name,
                start,
                surroundings,
            },
            _,
        ) => {
            let recipe = Recipe {
                start: *start,
                surroundings,
            };
            Keeper::begin(Place::new(sessions, &name), name, recipe)
                .map(|keeper| (Answer::Done(Box::new(keeper.describe())), keeper))
        }
        (Order::Recall { name, stream, sent }, Some(connection)) => {
            Keeper::recall(Place::new(sessions, &name), connection, &stream, &sent)
                .map(|keeper| (Answer::Taken, keeper))
        }
        _ => Err(refused("unexpected first request to a keeper")),
    };
    let (answer, keeper) = match begun {
        Ok((answer, keeper)) => (answer, Some(keeper)),
        Err(failure) => (Answer::Refused(failure), None),
    };
    tell(&orders, &answer);
    drop(orders);
    if let Some(keeper) = keeper {
        keeper.run();
    }
}

/// The server waits for it; one that was killed meanwhile does not hear it, and the session goes on.
fn tell(server: &OwnedFd, answer: &Answer) {
    let Ok(json) = serde_json::to_vec(answer) else {
        return;
    };
    let mut rest = &json[..];
    while !rest.is_empty() {
        match send(server, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = &rest[sent..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
