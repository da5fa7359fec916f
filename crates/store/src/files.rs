//! Files and records of a store, with errors that say which file it was.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Adds to a result of the file system what was done to which path.
pub trait OfFile<T> {
    /// The same, with an error that says `what` was done to `path`.
    ///
    /// # Errors
    /// When this is one.
    fn of(self, what: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> OfFile<T> for Result<T, E> {
    fn of(self, what: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|error| Error::File {
            what,
            path: path.to_owned(),
            source: error.into(),
        })
    }
}

/// Makes a directory with its parents, for its owner alone.
pub fn make_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .of("create the directory", path)
}

/// Makes a new file, for its owner alone.
pub fn make_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .of("create", path)
}

/// Puts `bytes` on stable storage at `path`, in place of what was there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let mut file = make_file(&beside)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .of("write", &beside)?;
    std::fs::rename(&beside, path).of("rename a file to", path)?;
    sync_parent(path)
}

/// Makes what appeared or went in the directory of `path` durable.
pub fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .of("sync", parent)
}

/// Reads a record, or nothing when there is none.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
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
pub fn record<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("records have only string keys")
}

/// Sixteen random hexadecimal digits.
pub fn random_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // Requests of this size are never cut short (getrandom(2)).
    got.of("read", Path::new("/dev/urandom"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An exclusive lock on a store, held while names change.
pub fn lock(path: &Path) -> Result<File, Error> {
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
