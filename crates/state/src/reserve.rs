//! Space that is given back when the disk is full, so that a stop or a delete, which frees space, can be stored.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Enough for some hundred changes in the write-ahead log.
const SIZE: u64 = 1 << 20;

/// The file that takes the space.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Reserves space beside the database, if there is any.
    pub(crate) fn beside(database: &Path) -> Self {
        let path = database.with_extension("reserve");
        let kept = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == SIZE);
        if !kept && take(&path).is_err() {
            // A part of it is of no use.
            let _ = std::fs::remove_file(&path);
        }
        Self { path }
    }

    /// Gives the space back. False when there is none.
    pub(crate) fn give(&self) -> bool {
        let given = std::fs::remove_file(&self.path).is_ok();
        if given {
            tracing::warn!("the disk is full: the database uses its reserve");
        }
        given
    }
}

fn take(path: &Path) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
        Ok(()) => Ok(()),
        // A file system that cannot allocate takes bytes.
        Err(rustix::io::Errno::OPNOTSUPP) => file.write_all(&vec![0; SIZE as usize]),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_given_once_and_taken_again_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("banger.db");
        let reserve = Reserve::beside(&database);
        assert!(reserve.give());
        assert!(!reserve.give());
        assert!(Reserve::beside(&database).give());
    }
}
