//! Changes of a tree as the kernel tells them (inotify(7)): which paths to look at again. Changes that come together are
//! told together.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_hostfs::{Dir, Found};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// After a change, this long without another one ends what comes together,
const QUIET: Duration = Duration::from_millis(25);
/// or this long at most.
const LONGEST: Duration = Duration::from_millis(250);

/// A tree that is watched.
pub(super) struct Watcher {
    inotify: AsyncFd<OwnedFd>,
    /// The directories that are watched, by the kernel's numbers.
    dirs: HashMap<i32, PathBuf>,
    /// Files that are watched by themselves, by one of their names.
    files: HashMap<i32, PathBuf>,
}

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Paths below the root.
    pub(super) paths: BTreeSet<PathBuf>,
    /// There were more changes than the kernel keeps.
    pub(super) lost: bool,
    /// The root itself is gone, or elsewhere.
    pub(super) gone: bool,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
        let inotify = unsafe { AsyncFd::register_with_interest(inotify, tokio::io::Interest::READABLE) };
        Ok(Self {
            inotify: inotify.map_err(io::Error::from)?,
            dirs: HashMap::new(),
            files: HashMap::new(),
        })
    }

    /// Watches a file by itself, whatever name it is changed by. Where no more can be watched, changes by names in the tree are told
    /// all the same.
    pub(super) fn add_file(&mut self, path: &Path, found: &Found) {
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        let itself = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
        if let Ok(number) = add_watch(&self.inotify, itself, flags) {
            self.files.insert(number, path.to_owned());
        }
    }

    /// Watches a directory, by its path below the root. One that was watched by another path goes by this one now.
    pub(super) fn add(&mut self, dir: &Path, held: &Dir) -> io::Result<()> {
        let mut flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        if dir.as_os_str().is_empty() {
            flags |= WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        }
        // That which is held, wherever its path leads by now.
        let number = match add_watch(&self.inotify, held.itself(), flags) {
            Ok(number) => number,
            Err(Errno::NOSPC) => {
                return Err(io::Error::other(
                    "too many directories to watch: raise fs.inotify.max_user_watches with sysctl",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.dirs.insert(number, dir.to_owned());
        Ok(())
    }

    /// Watches no directory any more that is known by one of these paths, or below it: one that was moved out of the tree is
    /// still watched by the kernel.
    pub(super) fn forget(&mut self, gone: &BTreeSet<PathBuf>) {
        if gone.is_empty() {
            return;
        }
        let inotify = &self.inotify;
        self.dirs.retain(|&number, dir| {
            let keep = !dir.ancestors().any(|dir| gone.contains(dir));
            if !keep {
                // Fails for one that was removed: the kernel has forgotten it itself.
                let _ = remove_watch(inotify, number);
            }
            keep
        });
        self.files.retain(|&number, file| {
            let keep = !file.ancestors().any(|part| gone.contains(part));
            if !keep {
                let _ = remove_watch(inotify, number);
            }
            keep
        });
    }

    /// The next changes.
    pub(super) async fn next(&mut self) -> io::Result<Changes> {
        let mut changes = Changes::default();
        self.read(&mut changes).await?;
        let end = Instant::now() + LONGEST;
        while !changes.lost && !changes.gone {
            let quiet = (Instant::now() + QUIET).min(end);
            match timeout_at(quiet, self.read(&mut changes)).await {
                Ok(read) => read?,
                Err(_) => break,
            }
        }
        Ok(changes)
    }

    async fn read(&mut self, changes: &mut Changes) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 32 << 10];
            let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
            let mut read = false;
            loop {
                match reader.next() {
                    Ok(event) => {
                        read = true;
                        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                        let of_file = self.files.get(&event.wd());
                        match of_file.filter(|_| !event.events().contains(ReadFlags::IGNORED)) {
                            Some(file) => drop(changes.paths.insert(file.clone())),
                            None => {
                                self.files.remove(&event.wd());
                                take(&mut self.dirs, event.wd(), event.events(), name, changes);
                            }
                        }
                    }
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if read {
                return Ok(());
            }
        }
    }
}

fn take(
    dirs: &mut HashMap<i32, PathBuf>,
    number: i32,
    flags: ReadFlags,
    name: Option<&OsStr>,
    changes: &mut Changes,
) {
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        changes.lost = true;
        return;
    }
    if flags.contains(ReadFlags::IGNORED) {
        dirs.remove(&number);
        return;
    }
    let Some(dir) = dirs.get(&number) else { return };
    if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) && dir.as_os_str().is_empty() {
        changes.gone = true;
    } else if let Some(name) = name {
        changes.paths.insert(dir.join(name));
    }
}

#[cfg(test)]
mod tests;
