//! SSH on a stream that the host opens. The host keeps the keys; the guest has them as long as the connection lasts.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Asks for an SSH server on the stream. Keys are ed25519 (RFC 8032), 32 bytes in hexadecimal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The private key by which the VM proves that it is itself.
    pub host_key: String,
    /// The public keys that may be any user.
    pub keys: Vec<String>,
    /// Variables over the guest's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ssh")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// A key of 32 bytes in hexadecimal.
pub fn encode_key(key: &[u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of such a key; nothing when it is none.
pub fn decode_key(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 2 * key.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_and_back() {
        let key = std::array::from_fn(|index| index as u8 * 7);
        assert_eq!(decode_key(&encode_key(&key)), Some(key));
        assert_eq!(decode_key("00"), None);
        assert_eq!(decode_key(&"+1".repeat(32)), None);
    }
}
