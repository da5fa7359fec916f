//! Archives for tests, written byte by byte so that they can also be wrong.

use std::io::Read;

use super::{Entry, read};
use crate::Error;

/// An archive in the making.
pub(super) struct Tar(pub(super) Vec<u8>);

impl Tar {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// A ustar header with mode 0644 of 1:2 at time 3, after `edit` with a right checksum.
    pub(super) fn header(
        &mut self,
        flag: u8,
        name: &[u8],
        size: u64,
        edit: impl FnOnce(&mut [u8; 512]),
    ) -> &mut Self {
        let mut raw = [0; 512];
        raw[..name.len()].copy_from_slice(name);
        raw[100..108].copy_from_slice(b"0000644\0");
        raw[108..116].copy_from_slice(b"0000001\0");
        raw[116..124].copy_from_slice(b"0000002\0");
        raw[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        raw[136..148].copy_from_slice(b"00000000003\0");
        raw[156] = flag;
        raw[257..265].copy_from_slice(b"ustar\x0000");
        edit(&mut raw);
        raw[148..156].fill(b' ');
        let sum: u32 = raw.iter().map(|&byte| u32::from(byte)).sum();
        raw[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&raw);
        self
    }

    /// Bytes, padded.
    pub(super) fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(&mut self, name: &[u8], content: &[u8]) -> &mut Self {
        self.header(b'0', name, content.len() as u64, |_| {})
            .data(content)
    }

    /// An extended header.
    pub(super) fn pax(&mut self, records: &[(&[u8], &[u8])]) -> &mut Self {
        let content: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        self.special(b'x', &content)
    }

    /// A header for the next header.
    pub(super) fn special(&mut self, flag: u8, content: &[u8]) -> &mut Self {
        self.header(flag, b"special", content.len() as u64, |_| {})
            .data(content)
    }

    /// The archive with its end mark.
    pub(super) fn end(&mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        std::mem::take(&mut self.0)
    }
}

/// A pax record, with the length that counts itself.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let mut len = rest.len();
    while len < rest.len() + len.to_string().len() {
        len += 1;
    }
    [len.to_string().as_bytes(), &rest].concat()
}

/// Turns a header into old GNU's.
pub(super) fn gnu(raw: &mut [u8; 512]) {
    raw[257..265].copy_from_slice(b"ustar  \0");
}

/// Puts a number to the base 256 into a field.
pub(super) fn base256(field: &mut [u8], value: i64) {
    field.fill(if value < 0 { 0xFF } else { 0 });
    let at = field.len() - 8;
    if at == 0 {
        field.copy_from_slice(&value.to_be_bytes());
    } else {
        field[at..].copy_from_slice(&value.to_be_bytes());
    }
    field[0] |= 0x80;
}

/// All entries with their content.
pub(super) fn entries(tar: impl Read) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut entries = Vec::new();
    let count = read::<Error>(tar, &mut |entry, content| {
        let mut bytes = Vec::new();
        // A failure here is for `read` to tell.
        let _ = content.read_to_end(&mut bytes);
        entries.push((entry, bytes));
        Ok(())
    })?;
    assert_eq!(count, entries.len() as u64);
    Ok(entries)
}
