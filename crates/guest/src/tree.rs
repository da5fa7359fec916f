//! Writing a tree of files into the guest.

use serde::{Deserialize, Serialize};

/// The query of [`crate::routes::TREE`]. The body is an uncompressed tar (POSIX pax or GNU) whose entries are relative
/// to `path`; an entry that would leave `path` is refused before anything of it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeQuery {
    /// Absolute directory in the guest, made with its parents when it is absent.
    pub path: String,
    /// Remove what `path` holds before writing.
    #[serde(default)]
    pub replace: bool,
    /// Ignore the archive's owners and give everything to this `uid:gid`.
    #[serde(default)]
    pub owner: Option<String>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeDone {
    /// Entries.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}
