//! What the database could not do.

use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};

/// The database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or prepared.
    #[error("failed to open the database {}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer banger wrote it.
    #[error("the database {} was written by a newer banger (schema {found}, this version supports {known})", .path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// What it has.
        found: usize,
        /// What this one knows.
        known: usize,
    },
    /// A statement failed.
    #[error("failed to {what} in the database")]
    Statement {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Open { .. } => Description::hinted(
                ErrorCode::Host,
                "run `banger doctor` to check whether the disk is full or read-only",
            ),
            Self::Newer { .. } => Description::hinted(
                ErrorCode::VersionMismatch,
                "install the newer version again, or set BANGER_HOME to another directory",
            ),
            Self::Statement { .. } => ErrorCode::Internal.into(),
        }
    }
}
