//! What can go wrong on this side.

use std::io;
use std::path::PathBuf;

use banger_archive::pack::PackError;
use banger_archive::unpack::UnpackError;
use banger_model::{Describe, Description, ErrorCode};
use banger_wire::files::FilesError;

/// Files were not copied, for a reason of this side's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guest could not, or the stream to it broke.
    #[error(transparent)]
    Guest(#[from] FilesError),
    /// Files of here could not be packed.
    #[error("failed to copy files into the VM")]
    Pack(#[source] PackError),
    /// Files that came could not be unpacked.
    #[error("failed to copy files out of the VM")]
    Unpack(#[source] UnpackError),
    /// A tar that was to be sent could not be read.
    #[error("failed to read the archive")]
    Read(#[source] io::Error),
    /// A thread that copies has panicked.
    #[error("a copy thread ended unexpectedly")]
    Thread,
    /// It was to end before it had.
    #[error("interrupted")]
    Interrupted,
    /// The directory cannot be opened.
    #[error("failed to open the directory")]
    Open(#[source] banger_hostfs::Error),
    /// Changes cannot be watched for.
    #[error("failed to watch for changes")]
    Watch(#[source] io::Error),
    /// A file cannot be looked at.
    #[error("failed to inspect {}", .path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_hostfs::Error,
    },
    /// The directory is gone: it is none that is empty.
    #[error("{} no longer exists", .0.display())]
    Gone(PathBuf),
    /// The guest's list of files is none.
    #[error("invalid list of files from the VM")]
    Listing,
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Guest(FilesError::Guest(failure)) => {
                Description::from(ErrorCode::Guest).with_causes(failure.causes.clone())
            }
            Self::Listing => ErrorCode::Guest.into(),
            Self::Guest(_) => Description::hinted(
                ErrorCode::Internal,
                "`banger daemon status` shows whether the daemon is running, and where its log is",
            ),
            Self::Thread => ErrorCode::Internal.into(),
            Self::Interrupted => ErrorCode::Cancelled.into(),
            Self::Pack(_)
            | Self::Unpack(_)
            | Self::Read(_)
            | Self::Open(_)
            | Self::Watch(_)
            | Self::Look { .. }
            | Self::Gone(_) => ErrorCode::InvalidRequest.into(),
        }
    }
}
