//! A new regular file, which has no name until it is whole: what is interrupted leaves nothing, not even when it is killed.
//! Where the file system has no files without a name (overlayfs before Linux 6.3, NFS), it has a hidden one meanwhile, which
//! only a kill leaves behind.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::{Dir, Error, Kind};

/// A file that is being written.
#[derive(Debug)]
pub struct Fresh {
    dir: Dir,
    file: File,
    /// The name that it has meanwhile, where the file system has no files without one.
    hidden: Option<OsString>,
}

impl Fresh {
    pub(crate) fn new(dir: &Dir) -> Result<Self, Error> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (file, hidden) = match openat(dir, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let name = Self::hidden_name()?;
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = openat(dir, &name, flags, mode)
                    .map_err(|errno| dir.failed("create", Path::new(&name), errno))?;
                (file, Some(name))
            }
            Err(errno) => return Err(Error::new("create a file in", dir.path(), errno)),
        };
        Ok(Self {
            dir: dir.again()?,
            file: file.into(),
            hidden,
        })
    }

    /// A name that nothing else has.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn hidden_name() -> Result<OsString, Error> {
        let mut random = [0; 8];
        match getrandom(&mut random, GetRandomFlags::empty()) {
            Ok(_) => Ok(format!(".banger-{:016x}", u64::from_ne_bytes(random)).into()),
            Err(errno) => Err(Error::new("read", "/dev/urandom", errno)),
        }
    }

    /// The file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name; what had it before is replaced in that instant, a link itself, and with `replace` a directory too.
    /// No file takes the place of a device: `/dev/null` as a file would break the host for everybody.
    ///
    /// # Errors
    /// When it cannot be named so.
    pub fn name(mut self, last: &OsStr, replace: bool) -> Result<(), Error> {
        if self.hidden.is_none() {
            let link = |name: &OsStr| {
                let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(
                    CWD,
                    itself,
                    &self.dir,
                    crate::resolve::name(name)?,
                    AtFlags::SYMLINK_FOLLOW,
                )
            };
            match link(last) {
                Ok(()) => return Ok(()),
                // Only renaming replaces.
                Err(Errno::EXIST) => {
                    let name = Self::hidden_name()?;
                    link(&name).map_err(|errno| self.dir.failed("link", Path::new(last), errno))?;
                    self.hidden = Some(name);
                }
                Err(errno) => return Err(self.dir.failed("link", Path::new(last), errno)),
            }
        }
        if let Some(name) = &self.hidden {
            if let Some(kind @ (Kind::CharDevice | Kind::BlockDevice)) = self.dir.kind(last)? {
                let path = self.dir.path().join(last);
                return Err(Error::Kind { path, kind });
            }
            self.dir.rename(name, last, replace)?;
        }
        self.hidden = None;
        Ok(())
    }
}

impl AsFd for Fresh {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(name) = &self.hidden {
            // Whatever went wrong is being told.
            let _ = self.dir.unlink(name);
        }
    }
}
