//! Changes of a tree as the kernel tells them (inotify(7)): which paths to look at again. Changes that come together are
//! told together.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// After a change, this long without another one ends what comes together,
const QUIET: Duration = Duration::from_millis(25);
/// or this long at most.
const LONGEST: Duration = Duration::from_millis(250);

/// A tree that is watched.
pub(super) struct Watcher {
    root: PathBuf,
    inotify: AsyncFd<OwnedFd>,
    /// The directories that are watched, by the kernel's numbers.
    dirs: HashMap<i32, PathBuf>,
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
    /// A watcher of the tree at `root`, in which nothing is watched yet.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is one open description for as long as it lives, and the `AsyncFd` owns it.
        let inotify = unsafe { AsyncFd::register_with_interest(inotify, tokio::io::Interest::READABLE) };
        Ok(Self {
            root: root.to_owned(),
            inotify: inotify.map_err(io::Error::from)?,
            dirs: HashMap::new(),
        })
    }

    /// Watches a directory, by its path below the root. One that was watched by another path goes by this one now.
    pub(super) fn add(&mut self, dir: &Path) -> io::Result<()> {
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
        } else {
            flags |= WatchFlags::DONT_FOLLOW;
        }
        let number = match add_watch(&self.inotify, self.root.join(dir), flags) {
            Ok(number) => number,
            Err(Errno::NOSPC) => {
                return Err(io::Error::other(
                    "there are more directories than may be watched: raise fs.inotify.max_user_watches by sysctl",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.dirs.insert(number, dir.to_owned());
        Ok(())
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
                        take(&mut self.dirs, event.wd(), event.events(), name, changes);
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
