//! ed25519 keys (RFC 8709).

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::kex;
use crate::wire::{Reader, Write};

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// As it is in messages.
    pub(crate) fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.put_string(kex::ED25519.as_bytes());
        blob.put_string(&self.0);
        blob
    }

    /// What a message has; nothing when it is another kind of key.
    pub(crate) fn of_blob(blob: &[u8]) -> Option<Self> {
        let mut from = Reader::new(blob);
        let kind = from.text().ok()?;
        let key = from.string().ok()?;
        (kind == kex::ED25519).then(|| key.try_into().ok().map(Self))?
    }

    /// Whether the signature, as it is in messages, is this key's.
    pub(crate) fn has_signed(&self, what: &[u8], signature: &[u8]) -> bool {
        let mut from = Reader::new(signature);
        let (Ok(kind), Ok(signature)) = (from.text(), from.string()) else {
            return false;
        };
        kind == kex::ED25519
            && UnparsedPublicKey::new(&ED25519, self.0)
                .verify(what, signature)
                .is_ok()
    }
}

/// The host's own key.
pub struct HostKey(Ed25519KeyPair);

impl HostKey {
    /// The key of this seed: the private key of RFC 8032. Nothing when the system's cryptography refuses it.
    pub fn new(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    pub(crate) fn sign(&self, what: &[u8]) -> Vec<u8> {
        self.0.sign(what).as_ref().to_vec()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("HostKey").field(&self.public()).finish()
    }
}
