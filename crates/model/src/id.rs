//! The identity of a VM, which never changes and is never reused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A VM's identity: eight random bytes, written as sixteen lower-case hexadecimal digits.
///
/// The randomness comes from the caller ([`VmId::from_bytes`]), so that this crate stays pure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VmId([u8; 8]);

impl VmId {
    /// Makes an id of eight bytes, which must come from the system's random source.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id, from which other identities (UUIDs, hardware addresses) are derived.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VmId({self})")
    }
}

/// A text that is not the sixteen hexadecimal digits of a VM id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid VM ID `{0}`: expected sixteen hexadecimal digits")]
pub struct ParseVmIdError(String);

impl FromStr for VmId {
    type Err = ParseVmIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ParseVmIdError(text.to_owned());
        if text.len() != 16 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid());
        }
        let value = u64::from_str_radix(text, 16).map_err(|_| invalid())?;
        Ok(Self(value.to_be_bytes()))
    }
}

impl TryFrom<String> for VmId {
    type Error = ParseVmIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VmId> for String {
    fn from(id: VmId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = VmId::from_bytes([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "00010203fcfdfef",
            "00010203FCFDFEFF",
            "+0010203fcfdfeff",
            "00010203fcfdfeff0",
        ] {
            assert!(text.parse::<VmId>().is_err(), "{text:?}");
        }
    }
}
