//! The data types of RFC 4251, section 5.

use crate::Error;

/// Reads one message. Every method fails with [`Error::Malformed`] where the message is cut short.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

#[expect(
    clippy::missing_errors_doc,
    reason = "the same for all of them, told once above"
)]
impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A `byte`.
    pub fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    /// A `boolean`.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        Ok(self.byte()? != 0)
    }

    /// A `uint32`.
    pub fn number(&mut self) -> Result<u32, Error> {
        let (taken, rest) = self.0.split_first_chunk::<4>().ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*taken))
    }

    /// A `string`, which is bytes.
    pub fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.number()? as usize;
        self.take(length)
    }

    /// A `string` that has to be text.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.string()?).map_err(|_| Error::Malformed)
    }

    /// A `uint64`.
    pub fn long(&mut self) -> Result<u64, Error> {
        let (taken, rest) = self.0.split_first_chunk::<8>().ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*taken))
    }

    /// Passes over bytes that do not matter.
    pub fn skip(&mut self, count: usize) -> Result<(), Error> {
        self.take(count).map(drop)
    }
}

/// Writes one message.
pub trait Write {
    /// A `byte`.
    fn put_byte(&mut self, value: u8);
    /// A `uint32`.
    fn put_number(&mut self, value: u32);
    /// A `uint64`.
    fn put_long(&mut self, value: u64);
    /// A `string`.
    fn put_string(&mut self, value: &[u8]);
    /// A number of any size that is not negative, given big-endian.
    fn put_mpint(&mut self, value: &[u8]);
}

impl Write for Vec<u8> {
    fn put_byte(&mut self, value: u8) {
        self.push(value);
    }

    fn put_number(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_long(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_string(&mut self, value: &[u8]) {
        // No message has strings that long: they are ours, or parts of a packet.
        self.put_number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.extend_from_slice(value);
    }

    fn put_mpint(&mut self, value: &[u8]) {
        let start = value.iter().position(|&byte| byte != 0).unwrap_or(value.len());
        let value = &value[start..];
        // The first bit would be its sign.
        let sign = value.first().is_some_and(|&byte| byte & 0x80 != 0);
        self.put_number(u32::try_from(value.len() + usize::from(sign)).unwrap_or(u32::MAX));
        if sign {
            self.push(0);
        }
        self.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4251, section 5.
    #[test]
    fn numbers_of_any_size() {
        let written = |value: &[u8]| {
            let mut bytes = Vec::new();
            bytes.put_mpint(value);
            bytes
        };
        assert_eq!(written(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(written(&[0, 0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(
            written(&[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]),
            [0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]
        );
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        assert!(Reader::new(&[0, 0, 0, 5, 1]).string().is_err());
        assert!(Reader::new(&[0, 0, 0]).number().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).string().is_err());
        assert!(Reader::new(&[0, 0, 0, 1, 0xff]).text().is_err());
    }
}
