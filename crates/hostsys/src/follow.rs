//! Noticing that a file grew or that one has come, by inotify(7).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A watch on one file or directory.
#[derive(Debug)]
pub struct Follow {
    events: AsyncFd<OwnedFd>,
}

impl Follow {
    /// Watches `path` from now on. Call it in the runtime.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::watch(
            path,
            WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF,
        )
    }

    /// Watches what comes into the directory `path`, and what its entries are made. Call it in the runtime.
    pub fn entries(path: &Path) -> io::Result<Self> {
        Self::watch(
            path,
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB,
        )
    }

    fn watch(path: &Path, what: WatchFlags) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&events, path, what)?;
        Ok(Self {
            // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
            events: unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }?,
        })
    }

    /// Returns when what is watched for has happened since the last call: the file was written to, moved or removed, or
    /// something has come into the directory.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.events
            .async_io(Interest::READABLE, |events| {
                // What happened does not matter, only that something did: take all that is there.
                let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
                let (read, _) = rustix::io::read(events, &mut buffer)?;
                if read.is_empty() {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(())
                }
            })
            .await
    }
}
