//! What is changed below a directory: made, linked, renamed, removed, given to others.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Timestamps, Uid, chownat, linkat, mkdirat, mknodat, renameat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use super::Dir;
use crate::{Error, Fresh, resolve};

impl Dir {
    /// Makes a directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self, path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        self.named("make", path.as_ref(), |dir, name| {
            mkdirat(dir, name, Mode::from_raw_mode(mode))
        })
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn symlink(&self, target: &[u8], path: impl AsRef<Path>) -> Result<(), Error> {
        self.named("make", path.as_ref(), |dir, name| symlinkat(target, dir, name))
    }

    /// Gives the file `name` in `from` another name, `to` in here. A symbolic link is linked itself.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link(&self, from: &Self, name: &OsStr, to: &OsStr) -> Result<(), Error> {
        from.named("link", Path::new(name), |from, name| {
            linkat(from, name, &self.held, resolve::name(to)?, AtFlags::empty())
        })
    }

    /// Makes a device or a named pipe, which only its owner can use.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn node(&self, path: impl AsRef<Path>, kind: FileType, device: u64) -> Result<(), Error> {
        self.named("make", path.as_ref(), |dir, name| {
            mknodat(dir, name, kind, Mode::from_raw_mode(0o600), device)
        })
    }

    /// Renames within this directory; with `replace`, over whatever has the name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn rename(&self, from: &OsStr, to: &OsStr, replace: bool) -> Result<(), Error> {
        let rename = || {
            let (from, to) = (resolve::name(from)?, resolve::name(to)?);
            renameat(&self.held, from, &self.held, to)
        };
        let failed = |errno| self.failed("write", Path::new(to), errno);
        let renamed = rename().map_err(failed);
        match renamed {
            Err(error) if replace && error.errno() == Some(Errno::ISDIR) => {
                self.remove(to)?;
                rename().map_err(failed)
            }
            renamed => renamed,
        }
    }

    /// Removes the file at a path below; no directory.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn unlink(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.named("remove", path.as_ref(), |dir, name| {
            unlinkat(dir, name, AtFlags::empty())
        })
    }

    /// Removes the file or tree at a path below; of a link, the link.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        match self.unlink(path) {
            Err(error) if error.errno() == Some(Errno::ISDIR) => {}
            removed => return removed,
        }
        let below = self.dir(path)?;
        for name in below.entries()? {
            below.remove(&name)?;
        }
        self.named("remove", path, |dir, name| {
            unlinkat(dir, name, AtFlags::REMOVEDIR)
        })
    }

    /// Sets owner and group of what is at a path below, itself.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_owner(&self, path: impl AsRef<Path>, uid: u32, gid: u32) -> Result<(), Error> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        self.named("set the owner of", path.as_ref(), |dir, name| {
            chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Sets the times of what is at a path below, itself.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_times(&self, path: impl AsRef<Path>, times: &Timestamps) -> Result<(), Error> {
        self.named("set the time of", path.as_ref(), |dir, name| {
            utimensat(dir, name, times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Sets the mode of a device or named pipe that we made under a name of our own.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn set_mode_of_node(&self, name: &OsStr, mode: u32) -> Result<(), Error> {
        self.named("set the mode of", Path::new(name), |dir, name| {
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())
        })
    }

    /// A new file in here, which has no name yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn fresh(&self) -> Result<Fresh, Error> {
        Fresh::new(self)
    }
}
