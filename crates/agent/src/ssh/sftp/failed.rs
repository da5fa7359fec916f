//! Why a request was not done, and how SFTP says that.

use std::io;

use rustix::io::Errno;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is nothing more to read.
    End,
    /// The system refused.
    System(io::Error),
    /// The request is malformed, or names a handle that is none.
    Malformed,
    /// Nobody knows what is asked for.
    Unsupported,
    /// There are too many handles.
    Handles,
    /// A copy within a file reaches what it reads.
    Overlap,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<banger_ssh::Error> for Failed {
    fn from(_: banger_ssh::Error) -> Self {
        Self::Malformed
    }
}

impl Failed {
    /// The number for it (section 7 of the draft), and words.
    pub(super) fn status(&self) -> (u32, String) {
        match self {
            Self::End => (1, "end of file".to_owned()),
            Self::System(error) => {
                let number = match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => 2,
                    io::ErrorKind::PermissionDenied => 3,
                    _ => 4,
                };
                (number, error.to_string())
            }
            Self::Malformed => (4, "the request is malformed, or of no open file".to_owned()),
            Self::Unsupported => (8, "this is not supported".to_owned()),
            Self::Handles => (4, "too many open files".to_owned()),
            Self::Overlap => (4, "source and target of the copy overlap".to_owned()),
        }
    }
}
