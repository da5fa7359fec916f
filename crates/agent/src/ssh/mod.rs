//! SSH: a server for one connection, in a process of its own.
//!
//! The host opens a stream and says who it is about: the VM's own key and the keys of its user. Nothing of that is stored
//! here. The connection goes to a process that speaks SSH on it ([`banger_ssh`]) and becomes the user that the client
//! proved to be; so files, sockets and commands are reached by that user's rights, a busy connection slows down no other,
//! and the end of the agent's server ends none.
//!
//! ```text
//!  server ── connection, keys ──▶ @banger-ssh ─┬─ commands (exec: threads that own a command each)
//!                                              ├─ sftp (a thread)
//!                                              └─ forwarded ports and sockets
//! ```

mod agent;
mod busy;
mod dispatch;
mod forward;
mod line;
mod link;
mod listen;
mod process;
mod session;
mod sftp;

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;

use banger_guest_api::Ssh;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::exec::{Shims, Surroundings};

pub use process::main;

/// The role of such a process.
pub const ROLE: &str = "ssh";

/// What it is called.
const NAME: &str = "@banger-ssh";

/// What a process is told, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    ssh: Ssh,
    surroundings: Surroundings,
    /// What the client had already sent.
    sent: Vec<u8>,
}

/// Starts a process that serves `connection`, and waits until it ends.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn serve(
    shims: Arc<Shims>,
    connection: OwnedFd,
    ssh: Ssh,
    surroundings: Surroundings,
    sent: Vec<u8>,
) -> io::Result<()> {
    let order = serde_json::to_vec(&Order {
        ssh,
        surroundings,
        sent,
    })?;
    let mut command = shims.role(NAME, ROLE, &connection)?;
    let mut process = command.stdin(Stdio::piped()).spawn()?;
    // It is the process's alone.
    drop((command, connection));
    if let Some(mut input) = process.stdin.take() {
        input.write_all(&order).await?;
    }
    process.wait().await.map(drop)
}
