//! Tells what file system a file holds.
use crate::Error;
use std::fs::File;

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The volume label, without its padding.
    pub label: Vec<u8>,
    /// The file system's UUID.
    pub uuid: [u8; 16],
    /// The file system's size in bytes (the file may be larger).
    pub size: u64,
    /// Whether it has a journal.
    pub has_journal: bool,
    /// Whether the journal must be replayed first: it was in use when it was last written.
    pub needs_recovery: bool,
    /// Whether it was unmounted cleanly and has no errors recorded.
    pub clean: bool,
    /// Compatible feature bits.
    pub compatible: u32,
    /// Incompatible feature bits.
    pub incompatible: u32,
    /// Read-only compatible feature bits.
    pub read_only_compatible: u32,
}

/// Reads the superblock; [`Error::NotExt4`] if there is none.
pub fn probe(_file: &File) -> Result<Info, Error> {
    Err(Error::NotExt4)
}
