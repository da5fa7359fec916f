//! Files of the helper's own.

use std::io;
use std::path::Path;

use crate::kernel::{HostError, cannot};

/// What was tried, and with what: a file, a directory or a socket that cannot be had, used or removed.
pub(crate) fn failed<E: Into<io::Error>>(
    operation: &str,
    path: &Path,
) -> impl FnOnce(E) -> HostError + use<E> {
    cannot(format!("{operation} {}", path.display()))
}

/// Removes a file, which need not be there.
pub(crate) fn remove(path: &Path) -> Result<(), HostError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
