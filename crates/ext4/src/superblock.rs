//! The superblock: 1024 bytes at offset 1024.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/super.rst`.

use std::fs::File;

use crate::Error;
use crate::checksum::{Seed, chain};
use crate::fields::{get_split64, get16, get32, put_split64, put16, put32};
use crate::image_file::read_at;
use crate::layout::{
    DESCRIPTOR_BYTES, EXTRA_INODE_BYTES, FIRST_INODE, GROUP_BLOCKS, Geometry, INODE_BYTES, LOG_FLEX_GROUPS,
};

/// Bytes of the superblock.
pub(crate) const SUPERBLOCK_BYTES: usize = 1024;
/// Where the primary superblock starts; a backup starts at the start of its group.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;

/// Feature bits used here, by the field that holds them.
pub(crate) mod feature {
    pub(crate) const HAS_JOURNAL: u32 = 0x4;
    pub(crate) const EXT_ATTR: u32 = 0x8;
    pub(crate) const DIR_INDEX: u32 = 0x20;
    pub(crate) const SPARSE_SUPER2: u32 = 0x200;

    pub(crate) const FILETYPE: u32 = 0x2;
    pub(crate) const RECOVER: u32 = 0x4;
    pub(crate) const META_BG: u32 = 0x10;
    pub(crate) const EXTENTS: u32 = 0x40;
    pub(crate) const BIT64: u32 = 0x80;
    pub(crate) const MULTIPLE_MOUNT: u32 = 0x100;
    pub(crate) const FLEX_BG: u32 = 0x200;
    pub(crate) const CHECKSUM_SEED: u32 = 0x2000;
    pub(crate) const LARGE_DIRECTORY: u32 = 0x4000;

    pub(crate) const SPARSE_SUPER: u32 = 0x1;
    pub(crate) const LARGE_FILE: u32 = 0x2;
    pub(crate) const HUGE_FILE: u32 = 0x8;
    pub(crate) const DIR_NLINK: u32 = 0x20;
    pub(crate) const EXTRA_ISIZE: u32 = 0x40;
    pub(crate) const BIG_ALLOCATION: u32 = 0x200;
    pub(crate) const METADATA_CSUM: u32 = 0x400;

    /// What both images and disks have.
    pub(crate) const COMPATIBLE: u32 = EXT_ATTR | DIR_INDEX;
    pub(crate) const INCOMPATIBLE: u32 = FILETYPE | EXTENTS | BIT64 | FLEX_BG;
    pub(crate) const READ_ONLY_COMPATIBLE: u32 =
        LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | METADATA_CSUM;
}

const MAGIC: u16 = 0xEF53;
const STATE_CLEAN: u16 = 1;
const ON_ERROR_CONTINUE: u16 = 1;
const HALF_MD4: u8 = 1;
/// Directory hashes take the bytes of a name as unsigned, on every architecture.
const UNSIGNED_HASH: u32 = 2;
const CHECKSUM_CRC32C: u8 = 1;
/// Mount options in force by default: user attributes and access control lists.
const DEFAULT_MOUNT_OPTIONS: u32 = 0x4 | 0x8;
const CHECKSUM_AT: usize = 0x3FC;

/// What distinguishes one new file system from another.
pub(crate) struct Identity<'a> {
    pub(crate) label: &'a str,
    pub(crate) uuid: [u8; 16],
    pub(crate) hash_seed: [u8; 16],
}

/// A superblock in its raw form, so that fields which are not ours survive a change.
#[derive(Clone)]
pub(crate) struct Superblock {
    raw: [u8; SUPERBLOCK_BYTES],
}

impl Superblock {
    /// A clean file system with the features that images and disks share, and nothing in use.
    pub(crate) fn new(identity: &Identity<'_>, geometry: Geometry) -> Result<Self, Error> {
        let label = identity.label.as_bytes();
        if label.len() > 16 || label.contains(&0) {
            return Err(Error::InvalidLabel {
                label: identity.label.to_owned(),
            });
        }
        let mut superblock = Self {
            raw: [0; SUPERBLOCK_BYTES],
        };
        let raw = &mut superblock.raw;
        put32(raw, 0x18, 2);
        put32(raw, 0x1C, 2);
        put32(raw, 0x20, GROUP_BLOCKS as u32);
        put32(raw, 0x24, GROUP_BLOCKS as u32);
        put16(raw, 0x36, u16::MAX);
        put16(raw, 0x38, MAGIC);
        put16(raw, 0x3A, STATE_CLEAN);
        put16(raw, 0x3C, ON_ERROR_CONTINUE);
        put32(raw, 0x4C, 1);
        put32(raw, 0x54, FIRST_INODE);
        put16(raw, 0x58, INODE_BYTES as u16);
        raw[0x68..0x78].copy_from_slice(&identity.uuid);
        raw[0x78..0x78 + label.len()].copy_from_slice(label);
        raw[0xEC..0xFC].copy_from_slice(&identity.hash_seed);
        raw[0xFC] = HALF_MD4;
        put16(raw, 0xFE, DESCRIPTOR_BYTES as u16);
        put32(raw, 0x100, DEFAULT_MOUNT_OPTIONS);
        put16(raw, 0x15C, EXTRA_INODE_BYTES);
        put16(raw, 0x15E, EXTRA_INODE_BYTES);
        put32(raw, 0x160, UNSIGNED_HASH);
        raw[0x174] = LOG_FLEX_GROUPS;
        raw[0x175] = CHECKSUM_CRC32C;
        superblock.set_features(
            feature::COMPATIBLE,
            feature::INCOMPATIBLE,
            feature::READ_ONLY_COMPATIBLE,
        );
        superblock.set_geometry(geometry);
        Ok(superblock)
    }

    /// Reads the primary superblock and checks magic and, where there is one, checksum.
    pub(crate) fn read(file: &File) -> Result<Self, Error> {
        let mut raw = [0; SUPERBLOCK_BYTES];
        if !read_at(file, &mut raw, SUPERBLOCK_OFFSET)? || get16(&raw, 0x38) != MAGIC {
            return Err(Error::NotExt4);
        }
        let superblock = Self { raw };
        let (.., read_only_compatible) = superblock.features();
        if read_only_compatible & feature::METADATA_CSUM != 0
            && superblock.checksum() != get32(&raw, CHECKSUM_AT)
        {
            return Err(Error::Damaged {
                structure: "superblock",
            });
        }
        Ok(superblock)
    }

    /// The bytes, for fields that only a reader needs.
    pub(crate) fn raw(&self) -> &[u8; SUPERBLOCK_BYTES] {
        &self.raw
    }

    fn checksum(&self) -> u32 {
        chain(!0, &self.raw[..CHECKSUM_AT])
    }

    /// The bytes as group `group` holds them, with their checksum.
    pub(crate) fn sealed(&self, group: u64) -> [u8; SUPERBLOCK_BYTES] {
        let mut copy = self.clone();
        put16(&mut copy.raw, 0x5A, group as u16);
        let checksum = copy.checksum();
        put32(&mut copy.raw, CHECKSUM_AT, checksum);
        copy.raw
    }

    pub(crate) fn set_features(&mut self, compatible: u32, incompatible: u32, read_only_compatible: u32) {
        put32(&mut self.raw, 0x5C, compatible);
        put32(&mut self.raw, 0x60, incompatible);
        put32(&mut self.raw, 0x64, read_only_compatible);
    }

    /// Compatible, incompatible and read-only compatible features.
    pub(crate) fn features(&self) -> (u32, u32, u32) {
        (
            get32(&self.raw, 0x5C),
            get32(&self.raw, 0x60),
            get32(&self.raw, 0x64),
        )
    }

    pub(crate) fn set_geometry(&mut self, geometry: Geometry) {
        put32(
            &mut self.raw,
            0x00,
            geometry.groups() as u32 * geometry.inodes_per_group,
        );
        put_split64(&mut self.raw, 0x04, 0x150, geometry.blocks);
        put32(&mut self.raw, 0x28, geometry.inodes_per_group);
    }

    pub(crate) fn geometry(&self) -> Geometry {
        let wide = self.features().1 & feature::BIT64 != 0;
        let blocks = if wide {
            get_split64(&self.raw, 0x04, 0x150)
        } else {
            get32(&self.raw, 0x04).into()
        };
        Geometry {
            blocks,
            inodes_per_group: get32(&self.raw, 0x28),
        }
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(&self) -> u64 {
        1024 << get32(&self.raw, 0x18).min(20)
    }

    /// Whether blocks, groups, inodes and descriptors have the sizes that this crate writes.
    pub(crate) fn has_our_sizes(&self) -> bool {
        self.block_bytes() == crate::layout::BLOCK_BYTES
            && get32(&self.raw, 0x14) == 0
            && get32(&self.raw, 0x20) == GROUP_BLOCKS as u32
            && get16(&self.raw, 0x58) as usize == INODE_BYTES
            && get16(&self.raw, 0xFE) as usize == DESCRIPTOR_BYTES
            && get32(&self.raw, 0x104) == 0
            && self.raw[0x174] == LOG_FLEX_GROUPS
    }

    pub(crate) fn set_free(&mut self, blocks: u64, inodes: u32) {
        put_split64(&mut self.raw, 0x0C, 0x158, blocks);
        put32(&mut self.raw, 0x10, inodes);
    }

    /// Names the journal's inode and keeps the copy of its block map and size that recovery tools use.
    pub(crate) fn set_journal(&mut self, inode: u32, block_map: &[u8; 60], size: u64) {
        put32(&mut self.raw, 0xE0, inode);
        self.raw[0xFD] = 1;
        self.raw[0x10C..0x10C + 60].copy_from_slice(block_map);
        put_split64(&mut self.raw, 0x14C, 0x148, size);
    }

    /// Forgets the cached overhead; the kernel computes it again.
    pub(crate) fn forget_overhead(&mut self) {
        put32(&mut self.raw, 0x248, 0);
    }

    pub(crate) fn seed(&self) -> Seed {
        Seed::of_uuid(&self.uuid())
    }

    pub(crate) fn uuid(&self) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.raw[0x68..0x78]);
        uuid
    }

    /// The label without its padding.
    pub(crate) fn label(&self) -> &[u8] {
        let label = &self.raw[0x78..0x88];
        &label[..label.iter().position(|&byte| byte == 0).unwrap_or(label.len())]
    }

    /// Unmounted cleanly, without recorded errors or orphans.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.features().1 & feature::RECOVER != 0 {
            Some("its journal has to be replayed")
        } else if get16(&self.raw, 0x3A) != STATE_CLEAN {
            Some("it was not unmounted or has errors")
        } else if get32(&self.raw, 0x194) != 0 {
            Some("the kernel recorded errors in it")
        } else if get32(&self.raw, 0xE8) != 0 {
            Some("it has deleted files that were never freed")
        } else {
            None
        }
    }
}
