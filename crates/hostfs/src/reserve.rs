//! What stays free on a file system that foreign data is written to: a guest must not be able to fill its user's disk.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatVfs, fstatvfs};

use crate::Error;

/// The most that stays free; of a file system with less room, a tenth of what there was.
const MOST: u64 = 256 << 20;

/// Files that stay possible, likewise.
const MOST_FILES: u64 = 10_000;

/// Look again after so many bytes, or files of which each counts as some.
const STEP: u64 = 16 << 20;
const FILE: u64 = 64 << 10;

/// Watches over the room that is left.
#[derive(Debug)]
pub struct Reserve {
    bytes: u64,
    files: u64,
    since: u64,
}

impl Reserve {
    /// Of the file system that `file` is on, as it is now.
    pub fn of(file: impl AsFd) -> Self {
        // One that does not tell has no reserve.
        let (left, files) = fstatvfs(file).map_or((0, 0), |now| (left(&now), now.f_favail));
        Self {
            bytes: MOST.min(left / 10),
            files: MOST_FILES.min(files / 10),
            since: 0,
        }
    }

    /// Tells that a file of `len` bytes comes, before anything of it is written.
    ///
    /// # Errors
    /// When there is not room for it.
    pub fn file(&mut self, file: impl AsFd, path: &Path, len: u64) -> Result<(), Error> {
        match len >= STEP {
            true => self.look(file, path, len),
            false => self.more(file, path, len + FILE),
        }
    }

    /// Tells that `len` bytes come.
    ///
    /// # Errors
    /// When there is not room for them.
    pub fn more(&mut self, file: impl AsFd, path: &Path, len: u64) -> Result<(), Error> {
        self.since += len;
        match self.since >= STEP {
            true => self.look(file, path, 0),
            false => Ok(()),
        }
    }

    fn look(&mut self, file: impl AsFd, path: &Path, coming: u64) -> Result<(), Error> {
        self.since = 0;
        let Ok(now) = fstatvfs(file) else {
            return Ok(());
        };
        let left = left(&now);
        if left < self.bytes.saturating_add(coming) || now.f_favail < self.files {
            return Err(Error::NoRoom {
                path: path.to_owned(),
                left,
                reserve: self.bytes,
            });
        }
        Ok(())
    }
}

fn left(now: &StatVfs) -> u64 {
    now.f_bavail.saturating_mul(now.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_of_the_reserve_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let path = Path::new("file");
        let reserve = |bytes, files| Reserve {
            bytes,
            files,
            since: 0,
        };
        let refused = |mut reserve: Reserve| reserve.more(&file, path, STEP).is_err();
        assert!(refused(reserve(u64::MAX, 0)), "there is less room than that");
        assert!(refused(reserve(0, u64::MAX)), "there are fewer files than that");
        assert!(!refused(reserve(0, 0)));
        // A large file is looked at before anything of it is written.
        assert!(reserve(0, 0).file(&file, path, u64::MAX).is_err());
    }
}
