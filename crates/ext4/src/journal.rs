//! The superblock of an empty journal.
//!
//! An unused journal needs nothing else: its other blocks are read only after a transaction was written to them.
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/journal.rst`. All fields are big-endian.

use crate::checksum::chain;
use crate::fields::put32_be;
use crate::layout::BLOCK;

/// Bytes of a journal superblock.
const BYTES: usize = 1024;
const MAGIC: u32 = 0xC03B_3998;
const SUPERBLOCK_V2: u32 = 4;
const BIT64: u32 = 0x2;
const CHECKSUMS_V3: u32 = 0x10;
const CHECKSUM_CRC32C: u8 = 4;
const CHECKSUM_AT: usize = 0xFC;

/// The superblock of an empty journal of so many blocks.
pub(crate) fn superblock(blocks: u32, uuid: &[u8; 16]) -> [u8; BYTES] {
    let mut raw = [0; BYTES];
    put32_be(&mut raw, 0x00, MAGIC);
    put32_be(&mut raw, 0x04, SUPERBLOCK_V2);
    put32_be(&mut raw, 0x0C, BLOCK as u32);
    put32_be(&mut raw, 0x10, blocks);
    // The log starts after this block, with transaction 1; a start of 0 says that it is empty.
    put32_be(&mut raw, 0x14, 1);
    put32_be(&mut raw, 0x18, 1);
    put32_be(&mut raw, 0x28, BIT64 | CHECKSUMS_V3);
    raw[0x30..0x40].copy_from_slice(uuid);
    put32_be(&mut raw, 0x40, 1);
    raw[0x50] = CHECKSUM_CRC32C;
    let checksum = chain(!0, &raw);
    put32_be(&mut raw, CHECKSUM_AT, checksum);
    raw
}

/// How many blocks the journal of a disk of so many blocks gets.
pub(crate) fn blocks_for(disk_blocks: u64) -> u32 {
    const GIB: u64 = (1 << 30) / BLOCK as u64;
    match disk_blocks / GIB {
        0 if disk_blocks < GIB / 8 => 1024,
        0 => 4096,
        1..8 => 8192,
        _ => 16384,
    }
}
