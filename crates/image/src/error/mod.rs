//! Why something with an image failed: an error for each of reading, writing and exporting, and that of the store.

mod export;
mod read;
mod write;

use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};

pub use export::ExportError;
pub use read::ReadError;
pub use write::{EntryFault, WriteError};

use crate::told::Cancelled;

/// A failure of the store of images.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, records and names of the store.
    #[error(transparent)]
    Store(#[from] banger_store::Error),
    /// The files of an image are gone.
    #[error("the image's files (generation {0}) are not in the store")]
    NoGeneration(String),
    /// A file that shall be an image is none.
    #[error("cannot use {} as an image", .path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// A disk whose file system was not unmounted.
    #[error("the VM's disk was not unmounted when it ended")]
    NotAtRest,
    /// A disk's file system could not be grown.
    #[error("failed to grow the image")]
    Grow(#[source] banger_ext4::Error),
    /// The file of a disk could not be made longer.
    #[error("failed to extend the disk file")]
    Lengthen(#[source] std::io::Error),
    /// A file tree could not be written.
    #[error(transparent)]
    Write(WriteError),
    /// A layer could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An image could not be found where it comes from.
    #[error(transparent)]
    Pull(Box<banger_oci::Error>),
    /// A layer could not be unpacked.
    #[error("failed to unpack layer {number} of {of} ({digest})")]
    Layer {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Its digest.
        digest: String,
        /// Why.
        #[source]
        source: Box<WriteError>,
    },
    /// Nobody wants it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Store(error) => error.describe(),
            Self::Write(error) => error.describe(),
            Self::Read(error) => error.describe(),
            Self::Pull(error) => error.describe(),
            Self::Layer { source, .. } => source.describe(),
            Self::NoGeneration(_) => Description::hinted(
                ErrorCode::NotFound,
                "the store may have been moved without these files: pull or import the image again and create the VM again",
            ),
            Self::NoImage { .. } => Description::hinted(
                ErrorCode::BadInput,
                "`image register` accepts ext4; use `image import` for a tar archive or a directory",
            ),
            Self::NotAtRest => Description::hinted(
                ErrorCode::WrongPhase,
                "start the VM, and commit it while it is running",
            ),
            Self::Grow(_) | Self::Lengthen(_) => ErrorCode::Host.into(),
            Self::Cancelled(_) => ErrorCode::Cancelled.into(),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Write(error),
        }
    }
}

impl From<banger_oci::Error> for Error {
    fn from(error: banger_oci::Error) -> Self {
        Self::Pull(Box::new(error))
    }
}
