//! What may be wrong with an artifact.

/// The most bytes that an artifact unpacks to.
pub(crate) const LARGEST: u64 = 4 << 30;

/// What is wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An entry with an absolute path.
    #[error("has entry `{0}`, which has an absolute path")]
    Absolute(String),
    /// An entry with `..` in its path.
    #[error("has entry `{0}`, which leads out of the archive")]
    Escapes(String),
    /// An entry that no kernel has.
    #[error("has entry `{0}`, which is not part of a kernel")]
    Unknown(String),
    /// An entry that is no file.
    #[error("has entry `{0}`, which is not a regular file")]
    Kind(String),
    /// An entry twice.
    #[error("has entry `{0}` twice")]
    Twice(String),
    /// A file that should be there.
    #[error("has no `{0}`")]
    Missing(String),
    /// Its record cannot be read.
    #[error("has an invalid record: {0}")]
    Record(serde_json::Error),
    /// More than any kernel.
    #[error("unpacks to more than {LARGEST} bytes")]
    TooLarge,
    /// It says another version than its catalog.
    #[error("has version {found}, but its catalog specifies {expected}")]
    Version {
        /// Its version.
        found: String,
        /// The version in the catalog.
        expected: String,
    },
}
