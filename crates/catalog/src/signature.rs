//! Who vouches for a document: detached signatures as minisign makes them (Ed25519 over BLAKE2b-512, "prehashed").

use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use minisign::{ErrorKind, PError, SignatureBox};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Characters of an Ed25519 signature in base64.
const SIGNATURE_DIGITS: usize = 88;

/// A public key as minisign prints it: `RW…`, 56 characters of base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(minisign::PublicKey);

/// A text is no public key.
#[derive(Debug, thiserror::Error)]
#[error("invalid minisign public key `{0}`: expected 56 characters that begin with `RW`")]
pub struct InvalidKey(String);

impl PublicKey {
    pub(crate) fn new(key: minisign::PublicKey) -> Self {
        Self(key)
    }

    /// Checks that `signature`, the text of a `.minisig`, is of this key and of these bytes.
    pub(crate) fn verify(&self, catalog: &str, signature: &str, bytes: &[u8]) -> Result<(), Error> {
        let invalid = |source: PError| Error::Signature {
            catalog: catalog.to_owned(),
            source,
        };
        // The crate takes the length of the second signature as given, and panics when it is not.
        let of_comment = signature.lines().nth(3).map(|line| line.trim().len());
        if of_comment != Some(SIGNATURE_DIGITS) {
            let source = PError::new(
                ErrorKind::Encoding,
                "it does not have the four lines of a signature",
            );
            return Err(invalid(source));
        }
        let signature = SignatureBox::from_string(signature).map_err(invalid)?;
        if signature.keynum() != self.0.keynum() {
            return Err(Error::OtherKey {
                catalog: catalog.to_owned(),
                by: key_id(signature.keynum()),
                configured: key_id(self.0.keynum()),
            });
        }
        minisign::verify(&self.0, &signature, Cursor::new(bytes), true, false, false).map_err(invalid)
    }
}

/// A key's number as minisign shows it.
fn key_id(keynum: &[u8]) -> String {
    keynum.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        minisign::PublicKey::from_base64(text.trim())
            .map(Self)
            .map_err(|_| InvalidKey(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0.to_base64()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minisign::KeyPair;

    fn signed(pair: &KeyPair, bytes: &[u8]) -> String {
        minisign::sign(None, &pair.sk, bytes, Some("a comment"), None)
            .unwrap()
            .into_string()
    }

    /// A signature whose signature of the comment is cut.
    fn short_second(signature: &str) -> String {
        let mut lines: Vec<_> = signature.lines().collect();
        lines[3] = "AAAA";
        lines.join("\n")
    }

    #[test]
    fn only_the_configured_key_vouches() {
        let ours = KeyPair::generate_unencrypted_keypair().unwrap();
        let other = KeyPair::generate_unencrypted_keypair().unwrap();
        let key: PublicKey = ours.pk.to_base64().parse().unwrap();
        assert!(key.to_string().starts_with("RW") && key.to_string().len() == 56);
        key.verify("c", &signed(&ours, b"text"), b"text").unwrap();
        let error = key.verify("c", &signed(&other, b"text"), b"text").unwrap_err();
        assert!(matches!(error, Error::OtherKey { .. }), "{error}");
        for (signature, bytes) in [
            (signed(&ours, b"text"), "other"),
            (signed(&ours, b"text").replace("a comment", "b comment"), "text"),
            (String::new(), "text"),
            (short_second(&signed(&ours, b"text")), "text"),
            ("no signature at all\n\n\n\n".to_owned(), "text"),
        ] {
            let error = key.verify("c", &signature, bytes.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Signature { .. }), "{error}");
        }
    }

    #[test]
    fn signatures_of_minisign_itself_are_understood() {
        // The example of the crate minisign-verify, made by the program.
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let signature = "untrusted comment: signature from minisign secret key\n\
            RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
            trusted comment: timestamp:1556193335\tfile:test\n\
            y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
        let key: PublicKey = key.parse().unwrap();
        key.verify("c", signature, b"test").unwrap();
        for wrong in [
            "RWQf6LRCGA9i",
            "",
            "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO",
        ] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
    }
}
