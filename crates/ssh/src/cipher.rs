//! Sealing packets and opening them: nothing before the first keys, authenticated encryption after.
//!
//! | name | defined in |
//! |---|---|
//! | `chacha20-poly1305@openssh.com` | OpenSSH's PROTOCOL.chacha20poly1305 |
//! | `aes256-gcm@openssh.com`, `aes128-gcm@openssh.com` | RFC 5647, with OpenSSH's names |

use ring::aead::chacha20_poly1305_openssh as chacha;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::Error;

/// Bytes of a packet's length.
pub(crate) const LENGTH: usize = 4;

/// Bytes that prove that a packet is its sender's, after it.
pub(crate) const TAG: usize = 16;

/// How packets are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    ChaCha,
    Aes256,
    Aes128,
}

impl Cipher {
    /// Ours, the best first. The client's order decides.
    pub(crate) const ALL: [Self; 3] = [Self::ChaCha, Self::Aes256, Self::Aes128];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ChaCha => "chacha20-poly1305@openssh.com",
            Self::Aes256 => "aes256-gcm@openssh.com",
            Self::Aes128 => "aes128-gcm@openssh.com",
        }
    }

    /// Bytes of its key.
    pub(crate) const fn key_length(self) -> usize {
        match self {
            Self::ChaCha => chacha::KEY_LEN,
            Self::Aes256 => 32,
            Self::Aes128 => 16,
        }
    }

    /// What packets are filled up to a multiple of.
    const fn block(self) -> usize {
        match self {
            Self::ChaCha => 8,
            Self::Aes256 | Self::Aes128 => 16,
        }
    }
}

/// One direction's key.
pub(crate) enum Key {
    /// Before the first key exchange.
    None,
    Sealing(chacha::SealingKey),
    Opening(chacha::OpeningKey),
    Gcm(Box<Gcm>),
}

/// AES-GCM with its counter.
pub(crate) struct Gcm {
    key: LessSafeKey,
    fixed: [u8; 4],
    counter: u64,
}

impl Gcm {
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.fixed);
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Which way packets go that a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Out,
    In,
}

impl Key {
    /// A key of as many bytes as the cipher takes, and the first bytes of its nonces.
    pub(crate) fn new(cipher: Cipher, way: Way, key: &[u8], iv: [u8; 12]) -> Result<Self, Error> {
        let algorithm = match cipher {
            Cipher::ChaCha => {
                let key = key.try_into().map_err(|_| Error::KeyExchange)?;
                return Ok(match way {
                    Way::Out => Self::Sealing(chacha::SealingKey::new(key)),
                    Way::In => Self::Opening(chacha::OpeningKey::new(key)),
                });
            }
            Cipher::Aes256 => &AES_256_GCM,
            Cipher::Aes128 => &AES_128_GCM,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| Error::KeyExchange)?;
        let [a, b, c, d, counter @ ..] = iv;
        Ok(Self::Gcm(Box::new(Gcm {
            key: LessSafeKey::new(key),
            fixed: [a, b, c, d],
            counter: u64::from_be_bytes(counter),
        })))
    }

    const fn tag(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Sealing(_) | Self::Opening(_) | Self::Gcm(_) => TAG,
        }
    }

    /// What packets are filled up to a multiple of, and whether their length counts for that.
    const fn alignment(&self) -> (usize, bool) {
        match self {
            Self::None => (8, true),
            Self::Sealing(_) | Self::Opening(_) => (Cipher::ChaCha.block(), false),
            Self::Gcm(_) => (Cipher::Aes256.block(), false),
        }
    }

    /// Appends `payload` to `out` as a packet (RFC 4253, section 6).
    pub(crate) fn seal(&mut self, sequence: u32, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (block, counts) = self.alignment();
        let before = if counts { LENGTH + 1 } else { 1 };
        // At least four bytes of filling.
        let filling = block - (before + payload.len()) % block;
        let filling = if filling < 4 { filling + block } else { filling };
        let length = 1 + payload.len() + filling;
        let start = out.len();
        let length = u32::try_from(length).map_err(|_| Error::Malformed)?;
        out.extend_from_slice(&length.to_be_bytes());
        // No more than the 4 + 16 bytes above.
        out.push(filling as u8);
        out.extend_from_slice(payload);
        // Encryption makes it random; before that it hides nothing.
        out.resize(out.len() + filling, 0);
        match self {
            Self::None => {}
            Self::Sealing(key) => {
                let mut tag = [0; TAG];
                key.seal_in_place(sequence, &mut out[start..], &mut tag);
                out.extend_from_slice(&tag);
            }
            Self::Gcm(gcm) => {
                let nonce = gcm.nonce();
                gcm.counter = gcm.counter.wrapping_add(1);
                let (length, rest) = out[start..].split_at_mut(LENGTH);
                let sealed = gcm
                    .key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*length), rest);
                let tag = sealed.map_err(|_| Error::KeyExchange)?;
                out.extend_from_slice(tag.as_ref());
            }
            Self::Opening(_) => return Err(Error::KeyExchange),
        }
        Ok(())
    }

    /// How long the packet is that begins with these bytes, all in all; `length` is that of its inner part.
    pub(crate) fn size(&self, sequence: u32, first: [u8; LENGTH]) -> usize {
        let length = match self {
            Self::Opening(key) => key.decrypt_packet_length(sequence, first),
            Self::None | Self::Sealing(_) | Self::Gcm(_) => first,
        };
        (u32::from_be_bytes(length) as usize)
            .saturating_add(LENGTH)
            .saturating_add(self.tag())
    }

    /// The payload of a whole packet.
    pub(crate) fn open<'a>(&mut self, sequence: u32, packet: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let inner = packet.len().checked_sub(self.tag()).ok_or(Error::Corrupt)?;
        let (packet, tag) = packet.split_at_mut(inner);
        let opened: &[u8] = match self {
            Self::None => packet.get(LENGTH..).ok_or(Error::Corrupt)?,
            Self::Opening(key) => {
                let tag = (&*tag).try_into().map_err(|_| Error::Corrupt)?;
                key.open_in_place(sequence, packet, tag)
                    .map_err(|_| Error::Corrupt)?
            }
            Self::Gcm(gcm) => {
                let nonce = gcm.nonce();
                gcm.counter = gcm.counter.wrapping_add(1);
                let (length, rest) = packet.split_at_mut_checked(LENGTH).ok_or(Error::Corrupt)?;
                let tag = ring::aead::Tag::try_from(&*tag).map_err(|_| Error::Corrupt)?;
                let opened = gcm
                    .key
                    .open_in_place_separate_tag(nonce, Aad::from(&*length), tag, rest, 0..);
                opened.map_err(|_| Error::Corrupt)?
            }
            Self::Sealing(_) => return Err(Error::KeyExchange),
        };
        let (&filling, rest) = opened.split_first().ok_or(Error::Corrupt)?;
        let payload = rest.len().checked_sub(filling.into()).ok_or(Error::Corrupt)?;
        Ok(&rest[..payload])
    }
}
