//! Where the metadata of a growable disk lies.
//!
//! Disks use `meta_bg`: the descriptors of each 64 groups (a *meta group*) stand in the first of them, with copies in
//! the second and the last. So a disk grows without moving anything, at any size, offline here or online in the
//! kernel. Bitmaps and inode tables of up to 16 groups stand together in the first of them (`flex_bg`); all other
//! groups hold nothing but superblock and descriptor copies, which lets their bitmaps stay unwritten.

use std::fs::File;
use std::ops::Range;

use crate::Error;
use crate::checksum::Seed;
use crate::group::{BLOCK_UNINIT, Bitmap, Descriptor, INODE_UNINIT, INODE_ZEROED};
use crate::image_file::{read_at, write_at};
use crate::layout::{
    BLOCK, BLOCK_BYTES, DESCRIPTOR_BYTES, DESCRIPTORS_PER_BLOCK, GROUP_BLOCKS, Geometry, LOG_FLEX_GROUPS,
    MAX_BYTES,
};
use crate::superblock::{SUPERBLOCK_OFFSET, Superblock, feature};

/// Inodes of a group: one for 16 KiB of disk.
pub(crate) const INODES_PER_GROUP: u32 = 8192;
/// The smallest disk: room for tables, a journal and a little more.
pub(crate) const MIN_BYTES: u64 = 16 << 20;
/// A last group with fewer usable blocks is left out.
const LEAST_USABLE: u64 = 64;

/// Features of a disk, as the superblock's three fields.
pub(crate) const FEATURES: (u32, u32, u32) = (
    feature::COMPATIBLE | feature::HAS_JOURNAL,
    feature::INCOMPATIBLE | feature::META_BG,
    feature::READ_ONLY_COMPATIBLE | feature::SPARSE_SUPER,
);

/// The division of a disk of `size` bytes, of which the first `existing` groups are there already.
pub(crate) fn divide(size: u64, existing: u64, inodes_per_group: u32) -> Result<Geometry, Error> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&size) {
        return Err(Error::InvalidSize {
            size,
            min: MIN_BYTES,
            max: MAX_BYTES,
        });
    }
    let mut geometry = Geometry {
        blocks: size / BLOCK_BYTES,
        inodes_per_group,
    };
    let last = geometry.groups() - 1;
    if last >= existing.max(1) {
        let shares = last > existing && !last.is_multiple_of(flex_groups());
        let tables = if shares { 0 } else { 2 + geometry.table_blocks() };
        if geometry.group_blocks(last) < own_blocks(last) + tables + LEAST_USABLE {
            geometry.blocks = last * GROUP_BLOCKS;
        }
    }
    Ok(geometry)
}

const fn flex_groups() -> u64 {
    1 << LOG_FLEX_GROUPS
}

/// Whether a group starts with a copy of the superblock: 0, 1 and the powers of 3, 5 and 7.
pub(crate) fn has_superblock(group: u64) -> bool {
    let is_power = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || is_power(3) || is_power(5) || is_power(7)
}

/// Whether a group has a copy of its meta group's descriptors.
fn has_descriptors(group: u64) -> bool {
    matches!(group % DESCRIPTORS_PER_BLOCK, 0 | 1)
        || group % DESCRIPTORS_PER_BLOCK == DESCRIPTORS_PER_BLOCK - 1
}

/// Blocks of a group for superblock and descriptor copies.
pub(crate) fn own_blocks(group: u64) -> u64 {
    u64::from(has_superblock(group)) + u64::from(has_descriptors(group))
}

/// The block of a group's copy of the descriptors.
fn descriptor_block(group: u64) -> u64 {
    group * GROUP_BLOCKS + u64::from(has_superblock(group))
}

/// The groups of a disk that are being laid out, with the bitmaps that must be written.
pub(crate) struct NewGroups {
    pub(crate) first: u64,
    pub(crate) descriptors: Vec<Descriptor>,
    pub(crate) bitmaps: Vec<(u64, Bitmap)>,
}

impl NewGroups {
    /// Lays out the groups from `first` to the end, with all blocks free but those of the layout.
    pub(crate) fn new(first: u64, geometry: Geometry) -> Self {
        let mut groups = Self {
            first,
            descriptors: Vec::new(),
            bitmaps: Vec::new(),
        };
        let mut start = first;
        while start < geometry.groups() {
            let end = ((start / flex_groups() + 1) * flex_groups()).min(geometry.groups());
            groups.lay_out(start..end, geometry);
            start = end;
        }
        groups
    }

    /// One set of groups whose tables stand in the first of them.
    fn lay_out(&mut self, set: Range<u64>, geometry: Geometry) {
        let count = set.end - set.start;
        let tables = set.start * GROUP_BLOCKS + own_blocks(set.start);
        let tables_end = own_blocks(set.start) + count * (2 + geometry.table_blocks());
        for (index, group) in (0..).zip(set.clone()) {
            let used = if index == 0 { tables_end } else { own_blocks(group) };
            let mut descriptor = Descriptor {
                block_bitmap: tables + index,
                inode_bitmap: tables + count + index,
                inode_table: tables + 2 * count + index * geometry.table_blocks(),
                free_blocks: (geometry.group_blocks(group) - used) as u32,
                free_inodes: geometry.inodes_per_group,
                unused_inodes: geometry.inodes_per_group,
                flags: INODE_UNINIT | BLOCK_UNINIT | INODE_ZEROED,
                ..Descriptor::default()
            };
            if index == 0 || group == geometry.groups() - 1 {
                descriptor.flags &= !BLOCK_UNINIT;
                let mut bitmap = Bitmap::empty();
                bitmap.set(0..used);
                bitmap.set(geometry.group_blocks(group)..GROUP_BLOCKS);
                self.bitmaps.push((group, bitmap));
            }
            self.descriptors.push(descriptor);
        }
    }

    /// Writes the bitmaps and notes their checksums.
    pub(crate) fn write_bitmaps(&mut self, file: &File, seed: Seed) -> Result<(), Error> {
        for (group, bitmap) in &self.bitmaps {
            let descriptor = &mut self.descriptors[(group - self.first) as usize];
            descriptor.block_bitmap_checksum = bitmap.block_checksum(seed);
            write_at(file, bitmap.bytes(), descriptor.block_bitmap * BLOCK_BYTES)?;
        }
        Ok(())
    }
}

/// Reads all descriptors.
pub(crate) fn read_descriptors(
    file: &File,
    geometry: Geometry,
    seed: Seed,
) -> Result<Vec<Descriptor>, Error> {
    let damaged = || Error::Damaged {
        structure: "table of group descriptors",
    };
    let mut descriptors = Vec::with_capacity(geometry.groups() as usize);
    let mut block = [0; BLOCK];
    for group in 0..geometry.groups() {
        let slot = (group % DESCRIPTORS_PER_BLOCK) as usize;
        if slot == 0 && !read_at(file, &mut block, descriptor_block(group) * BLOCK_BYTES)? {
            return Err(damaged());
        }
        let raw: &[u8; DESCRIPTOR_BYTES] = block
            .as_chunks::<DESCRIPTOR_BYTES>()
            .0
            .get(slot)
            .ok_or_else(damaged)?;
        descriptors.push(Descriptor::decode(raw, seed, group).ok_or_else(damaged)?);
    }
    Ok(descriptors)
}

/// Writes all copies of the descriptors, from the meta group of group `first` on.
pub(crate) fn write_descriptors(
    file: &File,
    first: u64,
    descriptors: &[Descriptor],
    seed: Seed,
) -> Result<(), Error> {
    let groups = descriptors.len() as u64;
    for meta_group in first / DESCRIPTORS_PER_BLOCK..groups.div_ceil(DESCRIPTORS_PER_BLOCK) {
        let first = meta_group * DESCRIPTORS_PER_BLOCK;
        let end = (first + DESCRIPTORS_PER_BLOCK).min(groups);
        let mut block = Vec::with_capacity(BLOCK);
        for group in first..end {
            block.extend_from_slice(&descriptors[group as usize].encode(seed, group));
        }
        block.resize(BLOCK, 0);
        for holder in (first..end).filter(|&group| has_descriptors(group)) {
            write_at(file, &block, descriptor_block(holder) * BLOCK_BYTES)?;
        }
    }
    Ok(())
}

/// Writes the superblock's backups, then the superblock.
pub(crate) fn write_superblocks(file: &File, superblock: &Superblock) -> Result<(), Error> {
    for group in (1..superblock.geometry().groups()).filter(|&group| has_superblock(group)) {
        write_at(
            file,
            &superblock.sealed(group),
            group * GROUP_BLOCKS * BLOCK_BYTES,
        )?;
    }
    write_at(file, &superblock.sealed(0), SUPERBLOCK_OFFSET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_stand_in_powers_of_three_five_and_seven() {
        let with: Vec<u64> = (0..130).filter(|&group| has_superblock(group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn a_last_group_too_short_for_its_tables_is_left_out() {
        let blocks = |size| divide(size, 0, INODES_PER_GROUP).unwrap().blocks;
        let group = GROUP_BLOCKS * BLOCK_BYTES;
        assert_eq!(blocks(2 * group + 70 * BLOCK_BYTES), 2 * GROUP_BLOCKS + 70);
        assert_eq!(blocks(2 * group + 60 * BLOCK_BYTES), 2 * GROUP_BLOCKS);
        assert_eq!(blocks(16 * group + 570 * BLOCK_BYTES), 16 * GROUP_BLOCKS);
        assert_eq!(blocks(16 * group + 600 * BLOCK_BYTES), 16 * GROUP_BLOCKS + 600);
        let grown = divide(2 * group + 70 * BLOCK_BYTES, 2, INODES_PER_GROUP).unwrap();
        assert_eq!(grown.blocks, 2 * GROUP_BLOCKS);
    }
}
