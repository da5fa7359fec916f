//! Waiting for a file to appear, by inotify(7).

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;
use crate::descriptor::readable;

/// A watch for one name in a directory.
#[derive(Debug)]
pub(crate) struct Created {
    events: AsyncFd<OwnedFd>,
    path: PathBuf,
    name: OsString,
}

impl Created {
    /// Watches for `name` in `dir` from now on. Call it in the runtime.
    pub(crate) fn watch(dir: &Path, name: &str) -> Result<Self, Error> {
        let open = || -> io::Result<AsyncFd<OwnedFd>> {
            let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            add_watch(&events, dir, WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
            readable(events)
        };
        Ok(Self {
            events: open().map_err(|source| Error::File {
                what: "watch",
                path: dir.to_owned(),
                source,
            })?,
            path: dir.join(name),
            name: name.into(),
        })
    }

    /// Returns once the file has appeared.
    pub(crate) async fn wait(self) -> Result<(), Error> {
        let seen = self.events.async_io(Interest::READABLE, |events| {
            let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
            let mut reader = Reader::new(events, &mut buffer);
            loop {
                let event = reader.next()?;
                if event
                    .file_name()
                    .is_some_and(|name| name.to_bytes() == self.name.as_bytes())
                {
                    return Ok(());
                }
            }
        });
        let seen = seen.await;
        // The kernel ends a group of watches only after a grace period: its close(2) takes up to 25 ms.
        let group = self.events.into_inner();
        tokio::task::spawn_blocking(move || drop(group));
        seen.map_err(|source| Error::File {
            what: "wait for",
            path: self.path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_awaited_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        let created = Created::watch(dir.path(), "b").unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        let waiting = tokio::spawn(created.wait());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        std::fs::write(dir.path().join("b"), "").unwrap();
        waiting.await.unwrap().unwrap();
    }
}
