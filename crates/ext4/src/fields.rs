//! Fixed-width integers at fixed places of raw on-disk structures.
//!
//! ext4 is little-endian, its journal big-endian. A wrong offset is a bug here, not bad input, so these panic.

pub(crate) fn put16(raw: &mut [u8], at: usize, value: u16) {
    raw[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put32(raw: &mut [u8], at: usize, value: u32) {
    raw[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes the low 32 bits at `low` and the high 32 bits at `high`.
pub(crate) fn put_split64(raw: &mut [u8], low: usize, high: usize, value: u64) {
    put32(raw, low, value as u32);
    put32(raw, high, (value >> 32) as u32);
}

/// Writes the low 16 bits at `low` and the high 16 bits at `high`.
pub(crate) fn put_split32(raw: &mut [u8], low: usize, high: usize, value: u32) {
    put16(raw, low, value as u16);
    put16(raw, high, (value >> 16) as u16);
}

pub(crate) fn put32_be(raw: &mut [u8], at: usize, value: u32) {
    raw[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub(crate) fn get16(raw: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([raw[at], raw[at + 1]])
}

pub(crate) fn get32(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

pub(crate) fn get_split64(raw: &[u8], low: usize, high: usize) -> u64 {
    u64::from(get32(raw, low)) | u64::from(get32(raw, high)) << 32
}

pub(crate) fn get_split32(raw: &[u8], low: usize, high: usize) -> u32 {
    u32::from(get16(raw, low)) | u32::from(get16(raw, high)) << 16
}
