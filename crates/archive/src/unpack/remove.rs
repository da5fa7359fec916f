//! Removing files below a directory, through no symbolic link.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::dir::{enter, remove_at};

/// Removes the file or tree `name`, a path below `base`. Tells whether there was one; no symbolic link leads to any.
///
/// # Errors
/// When a part of the path is `..`, or something cannot be removed.
pub fn remove(base: &OwnedFd, name: &[u8]) -> std::io::Result<bool> {
    let mut parts: Vec<&[u8]> = name
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    let Some(last) = parts.pop() else {
        return Err(Errno::INVAL.into());
    };
    if parts.contains(&&b".."[..]) || last == b".." {
        return Err(Errno::INVAL.into());
    }
    let mut dir: File = base.try_clone()?.into();
    for part in parts {
        dir = match enter(dir.as_fd(), part) {
            Ok(next) => next.into(),
            // Below what is no directory, or is one elsewhere, there is nothing of that name.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
    }
    match remove_at(&dir, last) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
