//! The client's SSH agent, as a socket for the user's commands.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use banger_ssh::Opening;
use tokio::net::UnixListener;
use tokio::task::AbortHandle;

use super::link::Link;
use crate::peer;

/// Where such sockets may be; not every image has all.
const PLACES: [&str; 3] = ["/tmp", "/run", "/dev/shm"];

/// A socket that leads to the client's agent. Gone when it is dropped.
#[derive(Debug)]
pub(super) struct AgentSocket {
    dir: PathBuf,
    task: AbortHandle,
}

impl AgentSocket {
    /// Makes one in a directory that is the user's alone.
    pub(super) fn new(link: &Rc<Link>) -> io::Result<Self> {
        let dir = private_dir()?;
        let listener = UnixListener::bind(dir.join("agent"));
        let listener = listener.inspect_err(|_| {
            let _ = std::fs::remove_dir(&dir);
        })?;
        let link = Rc::clone(link);
        let accepting = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Its directory lets nobody else in; a process of another user may have been given a descriptor of it.
                if !peer::may_give_orders(&stream).unwrap_or(false) {
                    continue;
                }
                if let Some(channel) = link.open(&Opening::Agent) {
                    tokio::task::spawn_local(async move { channel.relay(stream).await });
                }
            }
        });
        Ok(Self {
            dir,
            task: accepting.abort_handle(),
        })
    }

    /// The value of `SSH_AUTH_SOCK`.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join("agent")
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(self.path());
        let _ = std::fs::remove_dir(&self.dir);
    }
}

fn private_dir() -> io::Result<PathBuf> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let name = format!("banger-agent-{:016x}", u64::from_ne_bytes(random));
    let mut made = Err(io::ErrorKind::NotFound.into());
    for place in PLACES.map(Path::new) {
        let dir = place.join(&name);
        made = DirBuilder::new().mode(0o700).create(&dir).map(|()| dir);
        if made.is_ok() {
            break;
        }
    }
    made
}
