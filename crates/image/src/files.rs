//! Files that appear whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, linkat, openat, renameat_with,
};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::budget::exceeded;

/// Adds to a result of the file system what was done to which path.
pub(crate) trait OfFile<T> {
    fn of(self, what: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> OfFile<T> for Result<T, E> {
    fn of(self, what: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|error| {
            let source = error.into();
            if let Some(exceeded) = exceeded(&source) {
                return exceeded.into();
            }
            Error::File {
                what,
                path: path.to_owned(),
                source,
            }
        })
    }
}

/// Makes a directory with its parents, for its owner alone.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .of("make the directory", path)
}

/// Makes a new file, for its owner alone.
pub(crate) fn make_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .of("make", path)
}

/// Puts `bytes` on stable storage at `path`, in place of what was there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let mut file = make_file(&beside)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .of("write", &beside)?;
    std::fs::rename(&beside, path).of("put in place", path)?;
    sync_parent(path)
}

/// Makes what appeared or went in the directory of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .of("sync", parent)
}

/// Reads a record, or nothing when there is none.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.of("read", path)?,
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Record {
            path: path.to_owned(),
            source,
        })
}

/// A record as it is stored.
pub(crate) fn record<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("records have only string keys")
}

/// Sixteen random hexadecimal digits.
pub(crate) fn random_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // Requests of this size are never cut short (getrandom(2)).
    got.of("read", Path::new("/dev/urandom"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A directory in which something is being made. It goes when this is dropped, unless it was put in place; what a
/// killed process leaves is found by [`sweep`], because nothing holds its lock.
#[derive(Debug)]
pub(crate) struct Making {
    path: PathBuf,
    placed: bool,
    _lock: File,
}

const LOCK: &str = "making.lock";

impl Making {
    /// A new directory `name` in `parent`.
    pub(crate) fn begin(parent: &Path, name: &str) -> Result<Self, Error> {
        let path = parent.join(name);
        // A sweep between the making of the lock and the taking of it would see a lock that nobody holds.
        let _apart = apart(parent)?;
        make_dir(&path)?;
        let lock = make_file(&path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).of("lock", &path)?;
        Ok(Self {
            path,
            placed: false,
            _lock: lock,
        })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the directory in place, where nothing is, with all that is in it on stable storage.
    pub(crate) fn place(mut self, at: &Path) -> Result<(), Error> {
        let _apart = self.complete()?;
        std::fs::rename(&self.path, at).of("put in place", at)?;
        self.placed = true;
        sync_parent(at)
    }

    /// Puts the directory in the place of the one at `at`: at every instant one of the two is there. The old one is where
    /// this was made then, and goes as something unfinished does.
    pub(crate) fn replace(self, at: &Path) -> Result<(), Error> {
        let _apart = self.complete()?;
        renameat_with(CWD, &self.path, CWD, at, RenameFlags::EXCHANGE).of("put in place", at)?;
        sync_parent(at)
    }

    /// Takes the lock out of the directory. No sweep sees it so before it is in place, which is while this is held.
    fn complete(&self) -> Result<File, Error> {
        let apart = apart(self.path.parent().unwrap_or(&self.path))?;
        let _ = std::fs::remove_file(self.path.join(LOCK));
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .of("sync", &self.path)?;
        Ok(apart)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.placed {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A file that is being written. It has no name until it is whole, so whoever is killed meanwhile leaves nothing; only a file system
/// that has no such files gives it a hidden one, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Nameless {
    file: File,
    dir: PathBuf,
    hidden: Option<PathBuf>,
}

impl Nameless {
    /// A new one in `dir`, for its owner alone.
    pub(crate) fn begin(dir: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        let (file, hidden) = match openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => (file.into(), None),
            Err(_) => {
                let path = hidden_in(dir)?;
                (make_file(&path)?, Some(path))
            }
        };
        Ok(Self {
            file,
            dir: dir.to_owned(),
            hidden,
        })
    }

    /// The file.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// The file, to be written.
    pub(crate) const fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name. With `replace`, what has it before goes in that instant.
    pub(crate) fn place(mut self, at: &Path, replace: bool) -> Result<(), Error> {
        let what = "put in place";
        if self.hidden.is_none() {
            match link(&self.file, at) {
                // Only renaming replaces.
                Err(Errno::EXIST) if replace => {
                    let path = hidden_in(&self.dir)?;
                    link(&self.file, &path).of(what, at)?;
                    self.hidden = Some(path);
                }
                linked => return linked.of(what, at),
            }
        }
        let Some(hidden) = self.hidden.take() else {
            return Ok(());
        };
        let how = match replace {
            true => RenameFlags::empty(),
            false => RenameFlags::NOREPLACE,
        };
        let renamed = renameat_with(CWD, &hidden, CWD, at, how);
        if renamed.is_err() {
            let _ = std::fs::remove_file(&hidden);
        }
        renamed.of(what, at)
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            let _ = std::fs::remove_file(hidden);
        }
    }
}

fn link(file: &File, at: &Path) -> Result<(), Errno> {
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, itself, CWD, at, AtFlags::SYMLINK_FOLLOW)
}

const HIDDEN_END: &str = ".making";

fn hidden_in(dir: &Path) -> Result<PathBuf, Error> {
    Ok(dir.join(format!(".{}{HIDDEN_END}", random_id()?)))
}

/// Removes the hidden files of [`Nameless`] in `dir`, which only who was killed leaves. Whoever calls this keeps others from writing
/// there meanwhile.
pub(crate) fn sweep_hidden(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix('.'));
        let id = id.and_then(|name| name.strip_suffix(HIDDEN_END));
        if id.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Keeps the beginning of directories in `parent`, and sweeps of it, apart from each other while it is held.
fn apart(parent: &Path) -> Result<File, Error> {
    let dir = File::open(parent).of("open", parent)?;
    flock(&dir, FlockOperation::LockExclusive).of("lock", parent)?;
    Ok(dir)
}

/// Removes the directories in `parent` that nobody is making any more.
pub(crate) fn sweep(parent: &Path) {
    let Ok(apart) = apart(parent) else { return };
    let mut left = Vec::new();
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        match File::open(path.join(LOCK)) {
            // Held until it is gone, so that two sweeps do not meet in it.
            Ok(lock) => {
                if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    left.push((path, Some(lock)));
                }
            }
            // Its maker was killed between directory and lock, or while it was removed.
            Err(_) => left.push((path, None)),
        }
    }
    drop(apart);
    for (path, _lock) in left {
        let _ = std::fs::remove_dir_all(&path);
    }
}

/// An exclusive lock on a store, held while names change.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .of("open the lock", path)?;
    flock(&file, FlockOperation::LockExclusive).of("lock", path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("a");
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        let mut given_up = Nameless::begin(dir.path()).unwrap();
        write!(given_up.file, "x").unwrap();
        assert_eq!(names(), 0, "a killed writer would leave this");
        drop(given_up);
        for (text, replace) in [("one", false), ("two", true)] {
            let mut file = Nameless::begin(dir.path()).unwrap();
            write!(file.file, "{text}").unwrap();
            file.place(&at, replace).unwrap();
            assert_eq!(
                (std::fs::read_to_string(&at).unwrap().as_str(), names()),
                (text, 1)
            );
        }
        let refused = Nameless::begin(dir.path()).unwrap().place(&at, false);
        assert!(
            matches!(refused, Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists)
        );
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_sweep_lets_alone_what_is_just_begun() {
        let dir = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    sweep(dir.path());
                }
            });
            for nth in 0..2000 {
                let making = Making::begin(dir.path(), &nth.to_string()).unwrap();
                assert!(
                    make_file(&making.path().join("part")).is_ok(),
                    "{nth} was swept away"
                );
                if nth % 4 == 0 {
                    let at = dir.path().with_extension(nth.to_string());
                    making.place(&at).unwrap();
                    assert!(at.join("part").exists(), "{nth} was swept away in its place");
                    std::fs::remove_dir_all(&at).unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        make_dir(&dir.path().join("killed")).unwrap();
        make_file(&dir.path().join("killed").join(LOCK)).unwrap();
        make_dir(&dir.path().join("removed-old")).unwrap();
        sweep(dir.path());
        assert!(!dir.path().join("killed").exists());
        assert!(
            !dir.path().join("removed-old").exists(),
            "what was being removed stays"
        );
    }
}
