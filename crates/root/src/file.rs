//! Files of the helper's own.

use std::io;
use std::path::{Path, PathBuf};

/// A file, a directory or a socket that cannot be had, used or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}")]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What was tried, and with what.
pub(crate) fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> FileError + use<E> {
    let path = path.to_owned();
    move |error| FileError {
        operation,
        path,
        source: error.into(),
    }
}

/// Removes a file, which need not be there.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
