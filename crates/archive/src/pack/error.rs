//! Why files could not be packed.

use std::io;
use std::path::{Path, PathBuf};

use banger_hostfs::Error as HostError;

/// Files could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or directory.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("{} changed while it was being copied", .0.display())]
    Changed(PathBuf),
    /// A file of unknown size has no end within reason.
    #[error("{} reports no size and is larger than {} MiB", .path.display(), most >> 20)]
    Endless {
        /// The file.
        path: PathBuf,
        /// How much of it was read.
        most: u64,
    },
    /// A symbolic link that is followed leads to a directory it is in.
    #[error("{} leads in a circle", .0.display())]
    Circle(PathBuf),
    /// More directories within each other than are unpacked.
    #[error("{} is nested too deeply", .0.display())]
    Deep(PathBuf),
    /// The archive's taker takes no more.
    #[error("failed to write the archive")]
    Write(#[source] io::Error),
}

impl PackError {
    pub(super) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// The cause, without the path.
    pub(super) fn why(&self) -> String {
        match self {
            Self::File { source, .. } => source.to_string(),
            Self::Endless { most, .. } => format!("it reports no size and is larger than {} MiB", most >> 20),
            error => error.to_string(),
        }
    }
}

impl From<HostError> for PackError {
    fn from(error: HostError) -> Self {
        let path = error.path().to_owned();
        match error {
            HostError::File { what, source, .. } => Self::File { what, path, source },
            error => Self::File {
                what: "open",
                path,
                source: error.into(),
            },
        }
    }
}
