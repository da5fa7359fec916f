//! Why an image could not be exported.

use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};

use super::read::ReadError;
use crate::told::Cancelled;

/// A failure of an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file of the archive.
    #[error(transparent)]
    Store(#[from] banger_store::Error),
    /// A layer of the image.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A name that means something else in a layer.
    #[error("cannot export `{0}`: in a layer such a name marks a deleted file")]
    Mark(String),
    /// The archive could not be written.
    #[error("failed to write the archive")]
    Write(#[source] std::io::Error),
    /// A file that would be replaced.
    #[error("{} already exists", .0.display())]
    FileExists(PathBuf),
    /// Something else has the name of the file that is to be written.
    #[error("{} is not a regular file", .0.display())]
    NoFile(PathBuf),
    /// Nobody wants it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Describe for ExportError {
    fn describe(&self) -> Description {
        match self {
            Self::Store(error) => error.describe(),
            Self::Read(error) => error.describe(),
            Self::Mark(_) => ErrorCode::BadInput.into(),
            Self::Write(_) => ErrorCode::Host.into(),
            Self::Cancelled(_) => ErrorCode::Cancelled.into(),
            Self::FileExists(_) => Description::hinted(
                ErrorCode::AlreadyExists,
                "choose another file, or replace it with `--force`",
            ),
            Self::NoFile(_) => Description::hinted(
                ErrorCode::AlreadyExists,
                "specify a regular file, or `-o -` for standard output",
            ),
        }
    }
}
