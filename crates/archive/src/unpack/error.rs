//! Why an archive could not be unpacked.

use std::io;
use std::os::unix::ffi::OsStrExt;

use banger_hostfs::Error as HostError;
use rustix::io::Errno;

use crate::{Error, shown};

/// An archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged or truncated.
    #[error(transparent)]
    Archive(#[from] Error),
    /// An entry's name is absolute, has `..` in it, or is too deep.
    #[error("`{0}` leads out of the directory or is nested too deeply")]
    Outside(String),
    /// An entry that was not asked for.
    #[error("the archive contains `{0}`, which was not requested")]
    Unasked(String),
    /// A part of an entry's name is a symbolic link, or no directory.
    #[error("cannot write `{entry}`: `{part}` is a symbolic link or not a directory")]
    Through {
        /// The entry.
        entry: String,
        /// The part.
        part: String,
    },
    /// A file where a directory was wanted.
    #[error("`{0}` is not a directory")]
    NoDirectory(String),
    /// The file system would be full.
    #[error(transparent)]
    NoRoom(HostError),
    /// A file.
    #[error("failed to {what} `{entry}`")]
    File {
        /// What was done.
        what: &'static str,
        /// For which entry.
        entry: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl UnpackError {
    pub(crate) fn file(what: &'static str, entry: &[u8], source: io::Error) -> Self {
        Self::File {
            what,
            entry: shown(entry),
            source,
        }
    }
}

/// What went wrong with an entry's path.
pub(super) fn hosted(entry: &[u8]) -> impl Fn(HostError) -> UnpackError + '_ {
    move |error| {
        let is_through = matches!(error.errno(), Some(Errno::LOOP | Errno::NOTDIR));
        match error {
            error if is_through => UnpackError::Through {
                entry: shown(entry),
                part: shown(error.path().file_name().unwrap_or_default().as_bytes()),
            },
            HostError::NoRoom { .. } => UnpackError::NoRoom(error),
            HostError::Outside(_) => UnpackError::Outside(shown(entry)),
            HostError::File { what, source, .. } => UnpackError::file(what, entry, source),
            error => UnpackError::file("open", entry, error.into()),
        }
    }
}
