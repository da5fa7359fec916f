//! Removing files below a directory, through no symbolic link.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use banger_hostfs::{Dir, Error};

/// Removes the file or tree `name`, a path below `base`. Tells whether there was one; no symbolic link leads to any.
///
/// # Errors
/// When a part of the path is `..`, or something cannot be removed.
pub fn remove(base: &Dir, name: &[u8]) -> io::Result<bool> {
    match base.remove(Path::new(OsStr::from_bytes(name))) {
        Ok(()) => Ok(true),
        // Below what is no directory, or is one elsewhere, there is nothing of that name.
        Err(error) if error.is_absent() || error.is_link() => Ok(false),
        Err(Error::Outside(_)) => Err(io::ErrorKind::InvalidInput.into()),
        Err(Error::File { source, .. }) => Err(source),
        Err(error) => Err(error.into()),
    }
}
