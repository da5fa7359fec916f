//! Group descriptors and bitmaps.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/group_descr.rst` and `bitmaps.rst`.

use std::ops::Range;

use crate::checksum::{Seed, chain};
use crate::fields::{get_split32, get_split64, get16, put_split32, put_split64, put16};
use crate::layout::{BLOCK, DESCRIPTOR_BYTES, GROUP_BLOCKS};

/// The group's inode table and inode bitmap are not initialized.
pub(crate) const INODE_UNINIT: u16 = 1;
/// The group's block bitmap is not initialized: only the group's own metadata is in use.
pub(crate) const BLOCK_UNINIT: u16 = 2;
/// The inode table is known to hold zeros where it is unused, so that the kernel need not clear it.
pub(crate) const INODE_ZEROED: u16 = 4;

const CHECKSUM: usize = 0x1E;

/// One group's descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    pub(crate) directories: u32,
    /// Inodes at the table's end that were never used.
    pub(crate) unused_inodes: u32,
    pub(crate) flags: u16,
    pub(crate) block_bitmap_checksum: u32,
    pub(crate) inode_bitmap_checksum: u32,
}

impl Descriptor {
    pub(crate) fn encode(&self, seed: Seed, group: u64) -> [u8; DESCRIPTOR_BYTES] {
        let mut raw = [0; DESCRIPTOR_BYTES];
        put_split64(&mut raw, 0x00, 0x20, self.block_bitmap);
        put_split64(&mut raw, 0x04, 0x24, self.inode_bitmap);
        put_split64(&mut raw, 0x08, 0x28, self.inode_table);
        put_split32(&mut raw, 0x0C, 0x2C, self.free_blocks);
        put_split32(&mut raw, 0x0E, 0x2E, self.free_inodes);
        put_split32(&mut raw, 0x10, 0x30, self.directories);
        put16(&mut raw, 0x12, self.flags);
        put_split32(&mut raw, 0x18, 0x38, self.block_bitmap_checksum);
        put_split32(&mut raw, 0x1A, 0x3A, self.inode_bitmap_checksum);
        put_split32(&mut raw, 0x1C, 0x32, self.unused_inodes);
        let checksum = descriptor_checksum(&raw, seed, group);
        put16(&mut raw, CHECKSUM, checksum);
        raw
    }

    /// The descriptor in these bytes, if its checksum is right.
    pub(crate) fn decode(raw: &[u8; DESCRIPTOR_BYTES], seed: Seed, group: u64) -> Option<Self> {
        let mut bare = *raw;
        put16(&mut bare, CHECKSUM, 0);
        (descriptor_checksum(&bare, seed, group) == get16(raw, CHECKSUM)).then(|| Self {
            block_bitmap: get_split64(raw, 0x00, 0x20),
            inode_bitmap: get_split64(raw, 0x04, 0x24),
            inode_table: get_split64(raw, 0x08, 0x28),
            free_blocks: get_split32(raw, 0x0C, 0x2C),
            free_inodes: get_split32(raw, 0x0E, 0x2E),
            directories: get_split32(raw, 0x10, 0x30),
            unused_inodes: get_split32(raw, 0x1C, 0x32),
            flags: get16(raw, 0x12),
            block_bitmap_checksum: get_split32(raw, 0x18, 0x38),
            inode_bitmap_checksum: get_split32(raw, 0x1A, 0x3A),
        })
    }
}

/// Expects the checksum field to be zero.
fn descriptor_checksum(raw: &[u8; DESCRIPTOR_BYTES], seed: Seed, group: u64) -> u16 {
    chain(seed.over(&(group as u32).to_le_bytes()), raw) as u16
}

/// A bitmap block: a set bit is a block or inode in use, or one beyond the group's end.
#[derive(Clone)]
pub(crate) struct Bitmap(Box<[u8; BLOCK]>);

impl Bitmap {
    pub(crate) fn empty() -> Self {
        Self(Box::new([0; BLOCK]))
    }

    pub(crate) fn full() -> Self {
        Self(Box::new([0xFF; BLOCK]))
    }

    pub(crate) fn from_block(block: &[u8; BLOCK]) -> Self {
        Self(Box::new(*block))
    }

    pub(crate) fn set(&mut self, range: Range<u64>) {
        self.change(range, |byte, mask| *byte |= mask);
    }

    pub(crate) fn clear(&mut self, range: Range<u64>) {
        self.change(range, |byte, mask| *byte &= !mask);
    }

    fn change(&mut self, range: Range<u64>, apply: impl Fn(&mut u8, u8)) {
        let mut bit = range.start;
        while bit < range.end {
            let until = ((bit / 8 + 1) * 8).min(range.end);
            let mask = (0xFFu16 << (bit % 8)) as u8 & (0xFFu16 >> (8 - (until - (bit / 8) * 8))) as u8;
            apply(&mut self.0[(bit / 8) as usize], mask);
            bit = until;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// The checksum as a block bitmap.
    pub(crate) fn block_checksum(&self, seed: Seed) -> u32 {
        seed.over(&self.0[..(GROUP_BLOCKS / 8) as usize])
    }

    /// The checksum as an inode bitmap.
    pub(crate) fn inode_checksum(&self, seed: Seed, inodes_per_group: u32) -> u32 {
        seed.over(&self.0[..inodes_per_group as usize / 8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_bits_start_and_end_anywhere() {
        for start in 0..40 {
            for end in start..40 {
                let mut bitmap = Bitmap::empty();
                bitmap.set(start..end);
                let mut rest = Bitmap::full();
                rest.clear(start..end);
                for bit in 0..48 {
                    let is_set = |map: &Bitmap| map.bytes()[bit / 8] >> (bit % 8) & 1 == 1;
                    let inside = (start..end).contains(&(bit as u64));
                    assert_eq!(is_set(&bitmap), inside);
                    assert_eq!(is_set(&rest), !inside);
                }
            }
        }
    }

    #[test]
    fn a_descriptor_survives_its_encoding_and_notices_damage() {
        let seed = Seed::of_uuid(&[7; 16]);
        let descriptor = Descriptor {
            block_bitmap: 0x1_0000_0002,
            inode_bitmap: 0x2_0000_0003,
            inode_table: 0x3_0000_0004,
            free_blocks: 32768,
            free_inodes: 70_000,
            directories: 66_000,
            unused_inodes: 65_537,
            flags: INODE_ZEROED,
            block_bitmap_checksum: 0xDEAD_BEEF,
            inode_bitmap_checksum: 0x1234_5678,
        };
        let mut raw = descriptor.encode(seed, 5);
        assert_eq!(Descriptor::decode(&raw, seed, 5), Some(descriptor));
        assert_eq!(Descriptor::decode(&raw, seed, 6), None);
        raw[9] ^= 1;
        assert_eq!(Descriptor::decode(&raw, seed, 5), None);
    }
}
