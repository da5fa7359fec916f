//! The 256-byte inode.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/inodes.rst`.

use crate::Timestamp;
use crate::checksum::Seed;
use crate::fields::{put_split32, put16, put32};
use crate::layout::{EXTRA_INODE_BYTES, INODE_BYTES};
use crate::xattr::IN_INODE_BYTES;

/// File type bits of a mode.
pub(crate) mod file_type {
    pub(crate) const FIFO: u16 = 0x1000;
    pub(crate) const CHAR: u16 = 0x2000;
    pub(crate) const DIRECTORY: u16 = 0x4000;
    pub(crate) const BLOCK: u16 = 0x6000;
    pub(crate) const FILE: u16 = 0x8000;
    pub(crate) const SYMLINK: u16 = 0xA000;
    pub(crate) const SOCKET: u16 = 0xC000;
}

/// The block area holds an extent tree.
pub(crate) const USES_EXTENTS: u32 = 0x8_0000;
/// The directory has a hash index.
pub(crate) const HAS_INDEX: u32 = 0x1000;

const XATTRS_AT: usize = 128 + EXTRA_INODE_BYTES as usize;

/// What an inode says.
pub(crate) struct Inode<'a> {
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// For all four times.
    pub(crate) time: Timestamp,
    pub(crate) links: u16,
    /// Bytes of content.
    pub(crate) size: u64,
    /// Blocks in use by content, map and attributes.
    pub(crate) blocks: u64,
    pub(crate) flags: u32,
    /// Extent tree, short symbolic link or device number.
    pub(crate) block_area: [u8; 60],
    /// The block of further extended attributes, or 0.
    pub(crate) xattr_block: u64,
    /// Extended attributes in the inode; nothing if there are none.
    pub(crate) xattrs: &'a [u8],
}

impl Inode<'_> {
    /// The inode's bytes as inode `number`, with its checksum.
    pub(crate) fn encode(&self, seed: Seed, number: u32) -> [u8; INODE_BYTES] {
        let mut raw = [0; INODE_BYTES];
        let (seconds, extra) = encode_time(self.time);
        let sectors = self.blocks * 8;
        put16(&mut raw, 0x00, self.mode);
        put_split32(&mut raw, 0x02, 0x78, self.uid);
        put_split32(&mut raw, 0x18, 0x7A, self.gid);
        put32(&mut raw, 0x04, self.size as u32);
        put32(&mut raw, 0x6C, (self.size >> 32) as u32);
        for at in [0x08, 0x0C, 0x10, 0x90] {
            put32(&mut raw, at, seconds);
        }
        for at in [0x84, 0x88, 0x8C, 0x94] {
            put32(&mut raw, at, extra);
        }
        put16(&mut raw, 0x1A, self.links);
        put32(&mut raw, 0x1C, sectors as u32);
        put16(&mut raw, 0x74, (sectors >> 32) as u16);
        put32(&mut raw, 0x20, self.flags);
        raw[0x28..0x64].copy_from_slice(&self.block_area);
        put32(&mut raw, 0x68, self.xattr_block as u32);
        put16(&mut raw, 0x76, (self.xattr_block >> 32) as u16);
        put16(&mut raw, 0x80, EXTRA_INODE_BYTES);
        debug_assert!(self.xattrs.len() <= IN_INODE_BYTES);
        raw[XATTRS_AT..XATTRS_AT + self.xattrs.len()].copy_from_slice(self.xattrs);
        let checksum = seed.of_inode(number).over(&raw);
        put_split32(&mut raw, 0x7C, 0x82, checksum);
        raw
    }
}

/// Seconds since 1970 modulo 2^32, and a word of nanoseconds with two more bits of seconds below them.
fn encode_time(time: Timestamp) -> (u32, u32) {
    const EARLIEST: i64 = -(1 << 31);
    const LATEST: i64 = EARLIEST + (1 << 34) - 1;
    let seconds = time.secs.clamp(EARLIEST, LATEST);
    let epoch = ((seconds - i64::from(seconds as i32)) >> 32) as u32 & 3;
    (seconds as u32, time.nanos.min(999_999_999) << 2 | epoch)
}

/// The block area of a device node. Numbers up to 255:255 use the old form, as the kernel does.
pub(crate) fn device_area(major: u32, minor: u32) -> [u8; 60] {
    let mut area = [0; 60];
    if major < 256 && minor < 256 {
        put32(&mut area, 0, major << 8 | minor);
    } else {
        put32(&mut area, 4, minor & 0xFF | major << 8 | (minor & !0xFF) << 12);
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_from_1901_to_2446() {
        let at = |secs, nanos| encode_time(Timestamp { secs, nanos });
        assert_eq!(at(0, 0), (0, 0));
        assert_eq!(at(1, 999_999_999), (1, 999_999_999 << 2));
        assert_eq!(at(-1, 0), (u32::MAX, 0));
        assert_eq!(at(i64::MIN, 0), (0x8000_0000, 0));
        assert_eq!(at(0x7FFF_FFFF, 0), (0x7FFF_FFFF, 0));
        assert_eq!(at(0x8000_0000, 0), (0x8000_0000, 1));
        assert_eq!(at(0x1_0000_0000, 0), (0, 1));
        assert_eq!(at(i64::MAX, 0), (0x7FFF_FFFF, 3));
    }

    #[test]
    fn device_numbers_use_the_old_form_where_they_fit() {
        assert_eq!(device_area(1, 3)[..8], [3, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            device_area(259, 0x12345)[..8],
            [0, 0, 0, 0, 0x45, 0x03, 0x31, 0x12]
        );
    }
}
