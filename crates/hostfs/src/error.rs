//! What can be wrong with a path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A path was not followed, or something could not be done with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is absolute, has `..` in it, or is no name.
    #[error("{} leads out of its directory", .0.display())]
    Outside(PathBuf),
    /// A part of it is a symbolic link.
    #[error("{} is a symbolic link or behind one", .0.display())]
    Link(PathBuf),
    /// It is not what was wanted, and was not opened.
    #[error("{} is {kind}", .path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// It has more than is read.
    #[error("{} is larger than {most} bytes", .path.display())]
    TooMuch {
        /// The path.
        path: PathBuf,
        /// How much is read.
        most: u64,
    },
    /// The file system would be full.
    #[error("{} is on a file system with {} left, of which {} must stay free", .path.display(), MiB(*left), MiB(*reserve))]
    NoRoom {
        /// A path on it.
        path: PathBuf,
        /// Bytes that are left.
        left: u64,
        /// Bytes that shall be.
        reserve: u64,
    },
    /// The system.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn new(what: &'static str, path: impl Into<PathBuf>, errno: Errno) -> Self {
        let path = path.into();
        match errno {
            Errno::LOOP => Self::Link(path),
            // Of `openat2`: it would have left the directory.
            Errno::XDEV if !matches!(what, "link" | "rename") => Self::Outside(path),
            errno => Self::File {
                what,
                path,
                source: errno.into(),
            },
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Outside(path) | Self::Link(path) => path,
            Self::Kind { path, .. }
            | Self::TooMuch { path, .. }
            | Self::NoRoom { path, .. }
            | Self::File { path, .. } => path,
        }
    }

    /// The kind of the system's error; [`io::ErrorKind::Other`] when it is not the system's.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::File { source, .. } => source.kind(),
            Self::NoRoom { .. } => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        }
    }

    /// The system's number of it.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Link(_) => Some(Errno::LOOP),
            Self::File { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// Whether nothing is there.
    pub fn is_absent(&self) -> bool {
        matches!(self.errno(), Some(Errno::NOENT | Errno::NOTDIR))
    }

    /// Whether a link is in the way.
    pub fn is_link(&self) -> bool {
        matches!(self, Self::Link(_))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::CharDevice | Self::BlockDevice => "a device",
        })
    }
}

struct MiB(u64);

impl fmt::Display for MiB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}
