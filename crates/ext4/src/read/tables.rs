//! Where inodes are: superblock and group descriptors.
//!
//! Sources: the kernel's documentation, `filesystems/ext4/super.rst`, `group_descr.rst` and `blockgroup.rst`.

use std::fs::File;

use crate::Error;
use crate::checksum::Seed;
use crate::disk_layout::has_superblock;
use crate::fields::{get_split32, get_split64, get16, get32};
use crate::image_file::{length, read_at};
use crate::superblock::{Superblock, feature};

/// Incompatible features that do not change how this crate has to read.
const KNOWN: u32 = feature::INCOMPATIBLE
    | feature::META_BG
    | feature::MULTIPLE_MOUNT
    | feature::LARGE_DIRECTORY
    | feature::CHECKSUM_SEED;

/// The smallest group that `mke2fs` makes, in blocks; it bounds their number.
const LEAST_GROUP: u64 = 256;

/// What it takes to find an inode.
#[derive(Debug)]
pub(super) struct Tables {
    /// Bytes of a block.
    pub(super) block: u64,
    /// Blocks in the file system, none of them beyond the file's end.
    pub(super) blocks: u64,
    /// Where checksums start, if there are any.
    pub(super) seed: Option<Seed>,
    inode_bytes: usize,
    inodes: u32,
    inodes_per_group: u32,
    /// The first block of each group's inode table.
    inode_tables: Vec<u64>,
}

impl Tables {
    pub(super) fn read(file: &File) -> Result<Self, Error> {
        let superblock = Superblock::read(file)?;
        let (_, incompatible, read_only_compatible) = superblock.features();
        // Whatever else is wrong with it was found by the kernel while it was used, and concerns what is written.
        if incompatible & feature::RECOVER != 0 {
            return Err(Error::Dirty {
                reason: "its journal has to be replayed",
            });
        }
        if incompatible & !KNOWN != 0 || read_only_compatible & feature::BIG_ALLOCATION != 0 {
            return Err(Error::Unreadable {
                reason: "it has features that change how files are stored",
            });
        }
        let raw = superblock.raw();
        let (block, geometry) = (superblock.block_bytes(), superblock.geometry());
        let damaged = Error::Damaged {
            structure: "superblock",
        };
        let inode_bytes = match get32(raw, 0x4C) {
            0 => 128,
            _ => usize::from(get16(raw, 0x58)),
        };
        let group_blocks = u64::from(get32(raw, 0x20));
        let fits = geometry.blocks <= length(file)? / block;
        let sizes = (1024..=65_536).contains(&block)
            && inode_bytes.is_power_of_two()
            && (128..=block as usize).contains(&inode_bytes)
            && (LEAST_GROUP..=8 * block).contains(&group_blocks)
            && (1..=8 * block as u32).contains(&geometry.inodes_per_group);
        if !sizes || !fits {
            return Err(damaged);
        }
        let seed = match read_only_compatible & feature::METADATA_CSUM {
            0 => None,
            _ if incompatible & feature::CHECKSUM_SEED != 0 => Some(Seed::stored(get32(raw, 0x270))),
            _ => Some(superblock.seed()),
        };
        let descriptors = Descriptors {
            file,
            block,
            first: u64::from(get32(raw, 0x14)),
            group_blocks,
            bytes: match incompatible & feature::BIT64 {
                0 => 32,
                _ => u64::from(get16(raw, 0xFE)).max(32),
            },
            first_meta: match incompatible & feature::META_BG {
                0 => u64::MAX,
                _ => u64::from(get32(raw, 0x104)),
            },
            copies: Copies::of(&superblock),
        };
        let groups = geometry
            .blocks
            .saturating_sub(descriptors.first)
            .div_ceil(group_blocks);
        // Each group has at least a block for its descriptor's share, so this is bounded by the file.
        let inode_tables = (0..groups).map(|group| descriptors.inode_table(group));
        Ok(Self {
            block,
            blocks: geometry.blocks,
            seed,
            inode_bytes,
            inodes: get32(raw, 0x00),
            inodes_per_group: geometry.inodes_per_group,
            inode_tables: inode_tables.collect::<Result<_, _>>()?,
        })
    }

    /// The bytes of an inode, once its checksum was compared.
    pub(super) fn inode(&self, file: &File, number: u32) -> Result<Vec<u8>, Error> {
        let damaged = || Error::DamagedInode { number };
        let index = number
            .checked_sub(1)
            .filter(|_| number <= self.inodes)
            .ok_or_else(damaged)?;
        let (group, index) = (index / self.inodes_per_group, index % self.inodes_per_group);
        let table = *self.inode_tables.get(group as usize).ok_or_else(damaged)?;
        let place = u64::from(index) * self.inode_bytes as u64;
        if table + place / self.block >= self.blocks {
            return Err(damaged());
        }
        let mut raw = vec![0; self.inode_bytes];
        if !read_at(file, &mut raw, table * self.block + place)? {
            return Err(damaged());
        }
        match self.seed_of(number, &raw) {
            Some(seed) if !checksum_is_right(seed, &raw) => Err(damaged()),
            _ => Ok(raw),
        }
    }

    /// Where checksums of what belongs to an inode start.
    pub(super) fn seed_of(&self, number: u32, raw: &[u8]) -> Option<Seed> {
        Some(self.seed?.of_inode_generation(number, get32(raw, 0x64)))
    }

    /// Reads blocks; which, was taken from the file system.
    pub(super) fn read_block(
        &self,
        file: &File,
        place: u64,
        structure: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let mut raw = vec![0; self.block as usize];
        if place == 0 || place >= self.blocks || !read_at(file, &mut raw, place * self.block)? {
            return Err(Error::Damaged { structure });
        }
        Ok(raw)
    }
}

/// Half of an inode's checksum stands beyond the first 128 bytes, if it has that much.
fn checksum_is_right(seed: Seed, raw: &[u8]) -> bool {
    let wide = raw.len() > 128 && get16(raw, 0x80) >= 4;
    let mut bare = raw.to_vec();
    bare[0x7C..0x7E].fill(0);
    if wide {
        bare[0x82..0x84].fill(0);
        seed.over(&bare) == get_split32(raw, 0x7C, 0x82)
    } else {
        seed.over(&bare) as u16 == get16(raw, 0x7C)
    }
}

/// Which groups start with a copy of the superblock.
enum Copies {
    All,
    /// 0, 1 and the powers of 3, 5 and 7.
    Sparse,
    /// 0 and these.
    Named([u32; 2]),
}

impl Copies {
    fn of(superblock: &Superblock) -> Self {
        let (compatible, _, read_only_compatible) = superblock.features();
        let raw = superblock.raw();
        if compatible & feature::SPARSE_SUPER2 != 0 {
            Self::Named([get32(raw, 0x24C), get32(raw, 0x250)])
        } else if read_only_compatible & feature::SPARSE_SUPER != 0 {
            Self::Sparse
        } else {
            Self::All
        }
    }

    fn are_in(&self, group: u64) -> bool {
        match self {
            Self::All => true,
            Self::Sparse => has_superblock(group),
            Self::Named(named) => group == 0 || named.iter().any(|&named| u64::from(named) == group),
        }
    }
}

/// The group descriptors of a file system.
struct Descriptors<'a> {
    file: &'a File,
    block: u64,
    /// The block that the first group starts with.
    first: u64,
    group_blocks: u64,
    bytes: u64,
    /// From this block of descriptors on they stand in their meta groups.
    first_meta: u64,
    copies: Copies,
}

impl Descriptors<'_> {
    fn inode_table(&self, group: u64) -> Result<u64, Error> {
        let damaged = Error::Damaged {
            structure: "group descriptors",
        };
        let a_block = self.block / self.bytes;
        let (index, within) = (group / a_block, group % a_block * self.bytes);
        let place = if index < self.first_meta {
            self.first + 1 + index
        } else {
            let start = index * a_block;
            self.first + start * self.group_blocks + u64::from(self.copies.are_in(start))
        };
        let mut raw = [0; 64];
        let len = self.bytes.min(64) as usize;
        if !read_at(self.file, &mut raw[..len], place * self.block + within)? {
            return Err(damaged);
        }
        match get_split64(&raw, 0x08, 0x28) {
            0 => Err(damaged),
            table => Ok(table),
        }
    }
}
