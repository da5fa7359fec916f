//! What is asked of an unpacking, and what came of it.

use super::links::Links;

/// How files are made of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacking {
    /// Keep owners, set-id bits, every attribute, devices and named pipes.
    pub all: bool,
    /// Give everything to this user and group.
    pub owner: Option<(u32, u32)>,
    /// What is in the way of an entry of another kind goes.
    pub replace: bool,
    /// The only names that may be at the top; any when empty.
    pub tops: Vec<Vec<u8>>,
    /// What the one at the top is called instead.
    pub rename: Option<Vec<u8>>,
    /// The one at the top must be a directory.
    pub directory: bool,
    /// Which links are made.
    pub links: Links,
    /// Stop before the file system is full.
    pub reserve: bool,
}

/// What was made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries.
    pub entries: u64,
    /// Bytes of file content, without holes.
    pub bytes: u64,
    /// What was not done, and why: a line for each.
    pub notes: Vec<String>,
}
