//! A directory that is held, and what is done below it.

mod change;
mod links;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::{Error, Found, Kind, resolve};

/// A directory that is held by its descriptor, wherever it is moved.
#[derive(Debug)]
pub struct Dir {
    held: OwnedFd,
    path: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

impl Dir {
    /// The directory at `path`, which a user named: links on the way are the user's, and followed.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(held) => Ok(Self::held(held, path.to_owned())),
            Err(errno) => Err(Error::new("open", path, errno)),
        }
    }

    /// The same, made with those above it if it is not there. Tells whether it is new.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open_or_make(path: &Path) -> Result<(Self, bool), Error> {
        match Self::open(path) {
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            opened => return Ok((opened?, false)),
        }
        let made = std::fs::create_dir_all(path);
        made.map_err(|source| Error::File {
            what: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok((Self::open(path)?, true))
    }

    /// The directory that `path` is in, and its name there. As with [`Self::open`], but the last part is not followed. Nothing for
    /// a path without a name, such as `/`, `.` and `..`.
    ///
    /// # Errors
    /// When the directory is not there.
    pub fn around(path: &Path) -> Result<Option<(Self, OsString)>, Error> {
        let bytes = path.as_os_str().as_bytes();
        let end = bytes
            .iter()
            .rposition(|&byte| byte != b'/')
            .map_or(0, |at| at + 1);
        let (above, name) = match bytes[..end].iter().rposition(|&byte| byte == b'/') {
            Some(0) => (&b"/"[..], &bytes[1..end]),
            Some(at) => (&bytes[..at], &bytes[at + 1..end]),
            None => (&b"."[..], &bytes[..end]),
        };
        if matches!(name, b"" | b"." | b"..") {
            return Ok(None);
        }
        let dir = Self::open(Path::new(OsStr::from_bytes(above)))?;
        Ok(Some((dir, OsStr::from_bytes(name).to_owned())))
    }

    pub(crate) fn held(held: OwnedFd, path: PathBuf) -> Self {
        Self { held, path }
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to what is held, for calls that take no descriptor.
    pub fn itself(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.held.as_raw_fd()).into()
    }

    /// Another handle of it.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn again(&self) -> Result<Self, Error> {
        match self.held.try_clone() {
            Ok(held) => Ok(Self::held(held, self.path.clone())),
            Err(source) => Err(Error::File {
                what: "open",
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// The directory as a file: its mode, times and attributes can be set through that.
    ///
    /// # Errors
    /// When it may not be read.
    pub fn file_of_itself(&self) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.held, ".", flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(errno) => Err(Error::new("open", &self.path, errno)),
        }
    }

    /// The same of a directory that was found.
    ///
    /// # Errors
    /// When it is none, or may not be read.
    pub fn file_of_found(found: &Found) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(found, ".", flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(errno) => Err(Error::new("open", found.path(), errno)),
        }
    }

    /// The directory at a path below.
    ///
    /// # Errors
    /// When there is none, or a link is on the way.
    pub fn dir(&self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let opened = self.raw(path, OFlags::PATH | OFlags::DIRECTORY);
        let held = opened.map_err(|errno| {
            // `O_DIRECTORY` comes before the link that it is.
            let errno = resolve::told(self.as_fd(), path.as_os_str(), errno);
            self.failed("open", path, errno)
        })?;
        Ok(Self::held(held, self.path.join(path)))
    }

    /// What is at a path below; a symbolic link itself, if it is one. Has no effect on it.
    ///
    /// # Errors
    /// When nothing is there, or a link is on the way.
    pub fn look(&self, path: impl AsRef<Path>) -> Result<Found, Error> {
        let path = path.as_ref();
        let held = self.raw(path, OFlags::PATH);
        let held = held.map_err(|errno| self.failed("inspect", path, errno))?;
        Found::new(held, self.path.join(path))
    }

    /// The same through links, wherever they lead: only for a user who asks for what links lead to.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn look_through(&self, path: impl AsRef<Path>) -> Result<Found, Error> {
        let path = path.as_ref();
        let at = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        match openat(&self.held, at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Ok(held) => Found::new(held, self.path.join(path)),
            Err(errno) => Err(self.failed("inspect", path, errno)),
        }
    }

    /// Whether something is at a path below, and what.
    ///
    /// # Errors
    /// When it cannot be looked at; not when nothing is there.
    pub fn kind(&self, path: impl AsRef<Path>) -> Result<Option<Kind>, Error> {
        match self.look(path) {
            Ok(found) => Ok(Some(found.kind())),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The regular file at a path below, to be read.
    ///
    /// # Errors
    /// When there is none, it is something else, or a link is on the way.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<File, Error> {
        self.look(path)?.open()
    }

    /// What is in the regular file at a path below.
    ///
    /// # Errors
    /// As [`Self::file`], and when it has more than `most` bytes.
    pub fn read(&self, path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let file = self.file(path)?;
        let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
        let path = || self.path.join(path);
        read.map_err(|source| Error::File {
            what: "read",
            path: path(),
            source,
        })?;
        match bytes.len() as u64 > most {
            true => Err(Error::TooMuch { path: path(), most }),
            false => Ok(bytes),
        }
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// When it may not be read.
    pub fn entries(&self) -> Result<Vec<OsString>, Error> {
        let itself = self.file_of_itself()?;
        let listed = rustix::fs::Dir::new(itself).and_then(|entries| {
            let names = entries.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
            names.collect::<Result<Vec<_>, Errno>>()
        });
        let mut names = listed.map_err(|errno| Error::new("list", &self.path, errno))?;
        names.retain(|name| !matches!(name.as_bytes(), b"." | b".."));
        names.sort();
        Ok(names)
    }

    pub(crate) fn raw(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        resolve::open(self.as_fd(), path, flags, Mode::empty())
    }

    /// Does something with a name, in the directory that it is in.
    fn named(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<(), Error> {
        let outside = || Error::Outside(self.path.join(path));
        let parts = resolve::parts(path).ok_or_else(outside)?;
        let (last, above) = parts.split_last().ok_or_else(outside)?;
        let done = if above.is_empty() {
            work(self.as_fd(), last)
        } else {
            let above: PathBuf = above.iter().collect();
            let dir = self.raw(&above, OFlags::PATH | OFlags::DIRECTORY);
            dir.and_then(|dir| work(dir.as_fd(), last))
        };
        done.map_err(|errno| self.failed(what, path, errno))
    }

    pub(crate) fn failed(&self, what: &'static str, path: &Path, errno: Errno) -> Error {
        Error::new(what, self.path.join(path), errno)
    }
}
