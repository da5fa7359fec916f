//! Something that was found, held without being opened: looking at it has no effect on it.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use crate::{Dir, Error, Kind};

/// A file, a directory or something else that is held.
#[derive(Debug)]
pub struct Found {
    held: File,
    path: PathBuf,
    metadata: Metadata,
}

impl AsFd for Found {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

impl Found {
    pub(crate) fn new(held: OwnedFd, path: PathBuf) -> Result<Self, Error> {
        let held = File::from(held);
        match held.metadata() {
            Ok(metadata) => Ok(Self { held, path, metadata }),
            Err(source) => Err(Error::File {
                what: "inspect",
                path,
                source,
            }),
        }
    }

    /// What it was when it was found.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        let kind = self.metadata.file_type();
        if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Symlink
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() {
            Kind::CharDevice
        } else {
            Kind::BlockDevice
        }
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, whatever links led to it.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn place(&self) -> Result<PathBuf, Error> {
        std::fs::read_link(self.itself()).map_err(|source| self.failed("find", source))
    }

    /// What a symbolic link leads to.
    ///
    /// # Errors
    /// When it is none.
    pub fn target(&self) -> Result<Vec<u8>, Error> {
        let target = readlinkat(&self.held, c"", Vec::new());
        let target = target.map_err(|errno| self.failed("read", errno.into()))?;
        Ok(target.into_bytes())
    }

    /// The regular file, to be read.
    ///
    /// # Errors
    /// When it is none, or may not be read.
    pub fn open(&self) -> Result<File, Error> {
        match self.kind() {
            Kind::File => {}
            kind => {
                let path = self.path.clone();
                return Err(Error::Kind { path, kind });
            }
        }
        // A lease or a lock that is to be enforced must not make us wait either.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(CWD, self.itself(), flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(errno) => Err(self.failed("open", errno.into())),
        }
    }

    /// The directory.
    ///
    /// # Errors
    /// When it is none.
    pub fn dir(self) -> Result<Dir, Error> {
        match self.kind() {
            Kind::Directory => Ok(Dir::held(self.held.into(), self.path)),
            kind => Err(Error::Kind {
                path: self.path,
                kind,
            }),
        }
    }

    fn itself(&self) -> String {
        format!("/proc/self/fd/{}", self.held.as_fd().as_raw_fd())
    }

    fn failed(&self, what: &'static str, source: io::Error) -> Error {
        Error::File {
            what,
            path: self.path.clone(),
            source,
        }
    }
}
