//! The methods of key exchange: what is answered to a client's public key, and the secret of both.

use ml_kem::kem::{Ciphertext, Key};
use ml_kem::{B32, EncapsulationKey768, MlKem768};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Error;
use crate::wire::Write;

/// Bytes of an X25519 public key.
const CURVE: usize = 32;

/// A way to a secret. All of them hash with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// ML-KEM-768 (FIPS 203) beside X25519: who records it today cannot read it by a quantum computer, and who breaks the
    /// younger of both has still to break the other. draft-ietf-sshm-mlkem-hybrid-kex.
    Hybrid,
    /// X25519 alone (RFC 8731).
    Curve,
}

/// What comes of a client's public key.
pub(crate) struct Answer {
    /// Our public key for the client.
    pub(crate) public: Vec<u8>,
    /// The secret, as it is hashed.
    pub(crate) secret: Vec<u8>,
}

impl Method {
    /// All names, the best first.
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("mlkem768x25519-sha256", Self::Hybrid),
        ("curve25519-sha256", Self::Curve),
        ("curve25519-sha256@libssh.org", Self::Curve),
    ];

    /// The method of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = Self::NAMES.into_iter().find(|&(known, _)| known == name);
        known.map(|(_, method)| method)
    }

    /// Answers a client's public key.
    pub(crate) fn answer(self, theirs: &[u8]) -> Result<Answer, Error> {
        let mut secret = Vec::new();
        match self {
            Self::Hybrid => {
                let at = theirs.len().checked_sub(CURVE).ok_or(Error::KeyExchange)?;
                let (lattice, curve) = theirs.split_at(at);
                let (mut public, lattice) = encapsulate(lattice)?;
                let (ours, curve) = agree(curve)?;
                public.extend_from_slice(&ours);
                secret.put_string(&joined(&lattice, &curve));
                Ok(Answer { public, secret })
            }
            Self::Curve => {
                let (public, shared) = agree(theirs)?;
                secret.put_mpint(&shared);
                Ok(Answer { public, secret })
            }
        }
    }
}

/// The secret of both halves.
pub(crate) fn joined(lattice: &[u8], curve: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(lattice);
    context.update(curve);
    context.finish().as_ref().to_vec()
}

/// A secret for who has the key that `theirs` is the public half of: its capsule, and itself.
fn encapsulate(theirs: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let key: &Key<EncapsulationKey768> = theirs.try_into().map_err(|_| Error::KeyExchange)?;
    // It refuses numbers beyond the modulus (FIPS 203, section 7.2).
    let key = EncapsulationKey768::new(key).map_err(|_| Error::KeyExchange)?;
    let mut random = B32::default();
    // Given to the method instead of made by it: there is one source of random bytes, and it may fail.
    fill(&mut random)?;
    let (capsule, secret): (Ciphertext<MlKem768>, _) = key.encapsulate_deterministic(&random);
    Ok((capsule.to_vec(), secret.to_vec()))
}

/// Our half for this once, and what it gives with theirs.
fn agree(theirs: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let ours = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new());
    let ours = ours.map_err(|_| Error::KeyExchange)?;
    let public = ours.compute_public_key().map_err(|_| Error::KeyExchange)?;
    // It refuses a secret that is zero (RFC 8731, section 3).
    let shared = agreement::agree_ephemeral(ours, &UnparsedPublicKey::new(&X25519, theirs), <[u8]>::to_vec);
    Ok((public.as_ref().to_vec(), shared.map_err(|_| Error::KeyExchange)?))
}

fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| Error::KeyExchange)
}
