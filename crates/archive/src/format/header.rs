//! A header: one block of fixed fields.
//!
//! Sources: IEEE 1003.1, `pax`, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format", for the magic and
//! the fields of old GNU archives; star(5) for numbers to the base 256 and for star's own form.

use crate::EntryFault;

/// Everything in a tar begins at a multiple of this.
pub(super) const BLOCK: u64 = 512;

const BYTES: usize = BLOCK as usize;

/// Whose fields follow those that all archives have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Before 1988: nothing follows the link's name.
    V7,
    /// POSIX, and pax.
    Ustar,
    /// star's: ustar with a shorter prefix and two times.
    Star,
    /// GNU's: times and a sparse map in the place of the prefix.
    Gnu,
}

/// One block that should be a header.
pub(super) struct Header {
    raw: [u8; BYTES],
}

impl Header {
    pub(super) fn new(raw: [u8; BYTES]) -> Self {
        Self { raw }
    }

    pub(super) fn raw(&self) -> &[u8; BYTES] {
        &self.raw
    }

    pub(super) fn is_zero(&self) -> bool {
        self.raw == [0; BYTES]
    }

    /// The header if its checksum is right: the sum of its bytes, with spaces for the checksum itself. Some old writers
    /// summed signed bytes.
    pub(super) fn checked(self) -> Result<Self, &'static str> {
        let fault = "what should be a header has a wrong checksum";
        let field = &self.raw[148..156];
        let told = octal(field).ok_or(fault)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let unsigned = i64::from(sum(&self.raw) - sum(field) + 8 * u32::from(b' '));
        if told == unsigned {
            return Ok(self);
        }
        let high = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii()).count() as i64;
        let signed = unsigned - 256 * (high(&self.raw) - high(field));
        if told == signed { Ok(self) } else { Err(fault) }
    }

    /// The type flag.
    pub(super) fn flag(&self) -> u8 {
        self.raw[156]
    }

    pub(super) fn format(&self) -> Format {
        match &self.raw[257..265] {
            b"ustar  \0" => Format::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] if self.raw[508..] == *b"tar\0" => Format::Star,
            [b'u', b's', b't', b'a', b'r', 0, ..] => Format::Ustar,
            _ => Format::V7,
        }
    }

    /// The name, with its prefix.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.raw[..100]);
        let prefix = match self.format() {
            Format::V7 => &[],
            Format::Ustar => text(&self.raw[345..500]),
            Format::Star => text(&self.raw[345..476]),
            Format::Gnu => self.misplaced_prefix(),
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// Go before 1.8 wrote prefixes into GNU headers, where GNU has times. Layers of that age are about; Go reads a
    /// prefix where the times are no numbers, and so must we.
    fn misplaced_prefix(&self) -> &[u8] {
        let times = [&self.raw[345..357], &self.raw[357..369]];
        if self.raw[345] == 0 || times.iter().all(|time| number(time).is_some()) {
            return &[];
        }
        let prefix = text(&self.raw[345..500]);
        if prefix.is_ascii() { prefix } else { &[] }
    }

    /// The target of a link.
    pub(super) fn target(&self) -> Vec<u8> {
        text(&self.raw[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u16, EntryFault> {
        Ok((self.field(100..108, "mode")? & 0o7777) as u16)
    }

    pub(super) fn uid(&self) -> Result<i64, EntryFault> {
        self.field(108..116, "owner")
    }

    pub(super) fn gid(&self) -> Result<i64, EntryFault> {
        self.field(116..124, "group")
    }

    /// Bytes of content in the archive.
    pub(super) fn size(&self) -> Result<u64, EntryFault> {
        let size = self.field(124..136, "size")?;
        u64::try_from(size).map_err(|_| EntryFault::Header(format!("its size is {size}")))
    }

    pub(super) fn mtime(&self) -> Result<i64, EntryFault> {
        self.field(136..148, "time")
    }

    /// The numbers of a device.
    pub(super) fn device(&self) -> Result<(u32, u32), EntryFault> {
        if self.format() == Format::V7 {
            return Ok((0, 0));
        }
        let part = |range, what| {
            let number = self.field(range, what)?;
            u32::try_from(number).map_err(|_| EntryFault::Header(format!("its {what} is {number}")))
        };
        Ok((part(329..337, "major number")?, part(337..345, "minor number")?))
    }

    fn field(&self, range: std::ops::Range<usize>, what: &str) -> Result<i64, EntryFault> {
        number(&self.raw[range]).ok_or_else(|| EntryFault::Header(format!("its {what} is not a number")))
    }
}

/// A text field: up to the first NUL, or all of it.
pub(super) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// A number: octal digits, or two's complement to the base 256 if the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    // The second bit is the sign; no field has more than twelve bytes.
    let high = i128::from(((first << 1) as i8) >> 1);
    let value = rest
        .iter()
        .fold(high, |value, &byte| value << 8 | i128::from(byte));
    i64::try_from(value).ok()
}

/// Octal digits among spaces and NULs; nothing is 0, as unused fields are.
fn octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, 0 | b' ');
    let Some(first) = field.iter().position(|byte| !is_padding(byte)) else {
        return Some(0);
    };
    let digits = text(&field[first..]).trim_ascii_end();
    digits.iter().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_to_the_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b" 644 \0  "), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777 "), Some(0o77_777_777_777));
        assert_eq!(number(b"777777777777"), Some(0o777_777_777_777));
        assert_eq!(number(b"0000-12\0"), None);
        assert_eq!(number(b"0000899\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xFF; 12]), Some(-1));
        assert_eq!(number(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0]), Some(-256));
        let mut largest = [0; 12];
        largest[0] = 0x80;
        largest[4..].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(number(&largest), Some(i64::MAX));
        largest[4] = 0x80;
        assert_eq!(number(&largest), None);
    }

    #[test]
    fn a_sum_of_signed_bytes_is_a_checksum_too() {
        let mut raw = [0; BYTES];
        raw[..4].copy_from_slice(b"n\xFF\xFEm");
        let with = |raw: [u8; BYTES], sum: i64| {
            let mut raw = raw;
            raw[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            Header::new(raw).checked().is_ok()
        };
        let unsigned = i64::from(b'n') + 0xFF + 0xFE + i64::from(b'm') + 8 * 32;
        assert!(with(raw, unsigned));
        assert!(with(raw, unsigned - 512));
        assert!(!with(raw, unsigned + 1));
    }
}
