//! Why a key cannot be had.

use std::io;
use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode};

/// A key, or the file of known hosts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What a file holds is no key.
    #[error("failed to parse the key in {}", .0.display())]
    Format(PathBuf, #[source] ssh_key::Error),
    /// A key of another kind.
    #[error("the key in {} is not an ed25519 key", .0.display())]
    Kind(PathBuf),
    /// The user's own key cannot be read.
    #[error("failed to read the SSH key {} of `ssh_key_path`", .0.display())]
    Own(PathBuf, #[source] OwnError),
    /// The user's own key is of another kind.
    #[error("the SSH key {} of `ssh_key_path` is not an ed25519 key", .0.display())]
    OwnKind(PathBuf),
    /// The system gave no random bytes.
    #[error("failed to create a key")]
    Random(#[source] io::Error),
}

/// Why a user's own key cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// What the file holds.
    #[error(transparent)]
    Format(#[from] ssh_key::Error),
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Format(path, _) | Self::Kind(path) => Description::hinted(
                ErrorCode::Host,
                format!("remove {}: banger creates a new key", path.display()),
            ),
            Self::Own(path, _) | Self::OwnKind(path) => Description {
                hints: vec![
                    format!(
                        "create a key with `ssh-keygen -t ed25519 -f {}`",
                        banger_model::shell_word(&path.display().to_string())
                    ),
                    "or use banger's own key: `banger config unset ssh_key_path`".to_owned(),
                ],
                ..ErrorCode::Host.into()
            },
            Self::File { .. } | Self::Random(_) => ErrorCode::Host.into(),
        }
    }
}
