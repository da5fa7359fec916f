//! A session's directory on the VM's own disk.
//!
//! ```text
//!  sessions/NAME/record   the session as it is, or was at its end: JSON, replaced by rename
//!                socket   where its keeper listens; nobody does when it has ended
//!                log/     its output
//!                screen   what its terminal showed at the end
//! ```
//!
//! It lies beside the root's `upper` directory, so that nothing in the guest meets it by accident and no image that is
//! committed from the VM shows it. No path leads there; the server and the keepers hold the directory of all sessions.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use banger_guest_api::Session;

/// The directory of one session.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    /// That of a session in the directory that this process holds as `sessions`.
    pub(super) fn new(sessions: impl AsFd, name: &str) -> Self {
        Self(Path::new(&format!("/proc/self/fd/{}", sessions.as_fd().as_raw_fd())).join(name))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// The session's record; nothing when there is none, or none yet.
    pub(super) fn record(&self) -> io::Result<Option<Session>> {
        match std::fs::read(self.0.join("record")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the directory itself be there for good.
    pub(super) fn settle(&self) -> io::Result<()> {
        File::open(self.0.join(".."))?.sync_all()
    }

    /// Keeps a record, for good.
    pub(super) fn keep(&self, session: &Session) -> io::Result<()> {
        self.replace("record", &serde_json::to_vec(session)?)
    }

    /// What the terminal showed at the end.
    pub(super) fn screen(&self) -> Option<Vec<u8>> {
        std::fs::read(self.0.join("screen")).ok()
    }

    /// Keeps what the terminal shows.
    pub(super) fn keep_screen(&self, painted: &[u8]) -> io::Result<()> {
        self.replace("screen", painted)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.0.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(new, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}
