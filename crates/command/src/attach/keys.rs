//! The keys that detach from a session: parsed from text, and recognized in input.

use std::str::FromStr;

/// Keys that detach from a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(pub(super) Vec<u8>);

impl Default for Keys {
    fn default() -> Self {
        Self(vec![0x1d])
    }
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.map(Self)
            .ok_or_else(|| "expected keys such as ctrl-] or ctrl-p,ctrl-q, or other characters".to_owned())
    }
}

fn key(text: &str) -> Option<u8> {
    let (ctrl, name) = match text.to_ascii_lowercase().strip_prefix("ctrl-") {
        Some(name) => (true, name.to_owned()),
        None => (false, text.to_owned()),
    };
    let &[byte] = name.as_bytes() else { return None };
    match byte.to_ascii_uppercase() {
        // ASCII's control characters are those of columns four and five without these bits.
        upper @ b'@'..=b'_' if ctrl => Some(upper & 0x1f),
        _ if !ctrl && byte.is_ascii() => Some(byte),
        _ => None,
    }
}

/// Finds the detach keys in typed input.
pub(super) struct Typed {
    keys: Vec<u8>,
    /// Number of detach keys that were typed and are held back.
    matched: usize,
}

impl Typed {
    pub(super) const fn of(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Returns the bytes to send, and whether the detach keys were typed.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte != self.keys[self.matched] {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                out.push(byte);
            }
            if self.matched == self.keys.len() {
                return (out, true);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_people_say_them() {
        let bytes = |text: &str| text.parse::<Keys>().map(|keys| keys.0);
        assert_eq!(bytes("ctrl-]"), Ok(vec![0x1d]));
        assert_eq!(bytes("ctrl-p,ctrl-Q"), Ok(vec![0x10, 0x11]));
        assert_eq!(bytes("~,."), Ok(vec![b'~', b'.']));
        for wrong in ["", "ctrl-", "ctrl-ä", "ab", "ctrl-a,,b"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_typed_passes_but_for_the_keys() {
        let mut typed = Typed::of(vec![0x10, 0x11]);
        assert_eq!(typed.hear(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(typed.hear(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(typed.hear(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(typed.hear(b"\x11rest"), (Vec::new(), true));
    }
}
