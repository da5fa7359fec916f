//! A path that a user named as a whole: what is at its end is held, and then asked where it is.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::{Error, Found};

/// What is at a path that a user named.
#[derive(Debug)]
pub struct Named;

impl Named {
    /// Holds what is at `path`, through whatever links; [`Found::place`] tells where they led.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn look(path: &Path) -> Result<Found, Error> {
        match openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(held) => Found::new(held, path.to_owned()),
            Err(errno) => Err(Error::new("inspect", path, errno)),
        }
    }
}

/// Whether what was found is below `dir`, whatever links led to it.
///
/// # Errors
/// When the system does not tell where they are.
pub fn within(found: &Found, dir: &Path) -> Result<bool, Error> {
    Ok(found.place()?.starts_with(Named::look(dir)?.place()?))
}
