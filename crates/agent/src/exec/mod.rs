//! Commands: who runs them, with what, and how their streams are framed.
//!
//! The server hands a command's connection to a *shim*, a process of its own that was started beforehand: so a command
//! costs no more than its own fork and exec, and outlives the server that took its request.

pub(crate) mod account;
mod command;
mod modes;
mod pool;
mod pump;
mod role;
mod session;
mod shim;
mod terminal;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use banger_guest_api::Exec;
use serde::{Deserialize, Serialize};

use crate::socket::Blocking;
pub(crate) use command::{Prepared, Refusal, missing, prepare};

pub(crate) use modes::Modes;
pub use pool::Shims;
pub(crate) use role::DESCRIPTOR;
pub use shim::main as shim_main;
pub(crate) use terminal::Terminal;

/// Where programs are when nobody says otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What every command in this guest gets, whoever asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Variables of the VM.
    pub env: BTreeMap<String, String>,
    /// Where the guest's `/` is: only the fake guest has it elsewhere.
    pub root: PathBuf,
}

impl Surroundings {
    /// Where an absolute path of the guest is. In a real guest, there.
    pub(crate) fn path(&self, guest: &str) -> PathBuf {
        let relative = guest.trim_start_matches('/');
        if self.root.as_os_str().is_empty() {
            PathBuf::from("/").join(relative)
        } else {
            self.root.join(relative)
        }
    }

    /// Whether this is a guest and not a directory that plays one.
    pub(crate) fn is_real(&self) -> bool {
        self.root.as_os_str().is_empty()
    }
}

/// What the server tells a shim, beside the connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) exec: Exec,
    pub(crate) surroundings: Surroundings,
    /// How an SSH client wants the terminal, if there is one; its name is in `SSH_TTY` then.
    pub(crate) modes: Option<Modes>,
    /// Arguments after the others that need not be text.
    pub(crate) last: Vec<Vec<u8>>,
    /// What the client had already sent after its request.
    pub(crate) sent: Vec<u8>,
}

/// Runs a command on `connection`, which blocks, in this process: returns when it is over.
pub(crate) fn run_here(connection: OwnedFd, order: Order) {
    session::run(Blocking(connection), order);
}
