//! Directories that appear whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::error::Error;
use crate::files::{OfFile, make_dir, make_file, sync_parent};

/// A directory in which something is being made. It goes when this is dropped, unless it was put in place; what a
/// killed process leaves is found by [`sweep`](Self::sweep), because nothing holds its lock.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    placed: bool,
    _lock: File,
}

const LOCK: &str = "making.lock";

impl Making {
    /// A new directory `name` in `parent`.
    pub fn begin(parent: &Path, name: &str) -> Result<Self, Error> {
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

    /// Removes the directories in `parent` that nobody is making any more.
    pub fn sweep(parent: &Path) {
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

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the directory in place, where nothing is, with all that is in it on stable storage.
    pub fn place(mut self, at: &Path) -> Result<(), Error> {
        let _apart = self.complete()?;
        std::fs::rename(&self.path, at).of("rename a directory to", at)?;
        self.placed = true;
        sync_parent(at)
    }

    /// Puts the directory in the place of the one at `at`: at every instant one of the two is there. The old one is where
    /// this was made then, and goes as something unfinished does.
    pub fn replace(self, at: &Path) -> Result<(), Error> {
        let _apart = self.complete()?;
        renameat_with(CWD, &self.path, CWD, at, RenameFlags::EXCHANGE).of("rename a directory to", at)?;
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

/// Keeps the beginning of directories in `parent`, and sweeps of it, apart from each other while it is held.
fn apart(parent: &Path) -> Result<File, Error> {
    let dir = File::open(parent).of("open", parent)?;
    flock(&dir, FlockOperation::LockExclusive).of("lock", parent)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_sweep_lets_alone_what_is_just_begun() {
        let dir = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Making::sweep(dir.path());
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
        Making::sweep(dir.path());
        assert!(!dir.path().join("killed").exists());
        assert!(
            !dir.path().join("removed-old").exists(),
            "what was being removed stays"
        );
    }
}
