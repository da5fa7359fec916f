//! Why a store could not do something with its files or names.

use std::io;
use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// A record of the store is not readable.
    #[error("failed to parse the record {}", .path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Nothing has this name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        present: Vec<String>,
    },
    /// The name is taken.
    #[error("{kind} `{name}` already exists")]
    Exists {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A relative path, which would mean another file for another process.
    #[error("`{}` is not an absolute path", .0.display())]
    Relative(PathBuf),
}

impl Error {
    /// What the file system, or a reader on top of it, said of a file.
    pub fn of_file(&self) -> Option<&io::Error> {
        match self {
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::File { .. } | Self::Record { .. } => ErrorCode::Host.into(),
            Self::NotFound { kind, present, .. } if present.is_empty() => Description::hinted(
                ErrorCode::NotFound,
                format!("there is no {kind} yet: `banger {kind} import --help` shows how to get one"),
            ),
            Self::NotFound { present, .. } => {
                Description::hinted(ErrorCode::NotFound, format!("available: {}", present.join(", ")))
            }
            Self::Exists { .. } => Description::hinted(
                ErrorCode::AlreadyExists,
                "choose another name, or replace it with `--force`",
            ),
            Self::Relative(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "specify an absolute path, or with a pull the `directory` that the path is relative to",
            ),
        }
    }
}
