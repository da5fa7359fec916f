//! Tells what file system a file holds.

use std::fs::File;

use crate::Error;
use crate::superblock::{Superblock, feature};

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

/// Reads the superblock of an ext2, ext3 or ext4 file system.
///
/// # Errors
/// [`Error::NotExt4`] if there is none, [`Error::Damaged`] if its checksum is wrong.
pub fn probe(file: &File) -> Result<Info, Error> {
    let superblock = Superblock::read(file)?;
    let (compatible, incompatible, read_only_compatible) = superblock.features();
    Ok(Info {
        label: superblock.label().to_vec(),
        uuid: superblock.uuid(),
        size: superblock
            .geometry()
            .blocks
            .saturating_mul(superblock.block_bytes()),
        has_journal: compatible & feature::HAS_JOURNAL != 0,
        needs_recovery: incompatible & feature::RECOVER != 0,
        clean: superblock.fault().is_none(),
        compatible,
        incompatible,
        read_only_compatible,
    })
}
