//! Content that must have a digest.

use std::io::{self, Read};

use banger_store::Digest;
use oci_spec::image::{self, Descriptor, DigestAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::mismatch::Mismatch;

/// The longest document that is read: registries need not take longer ones (the distribution specification's `spec.md`,
/// "Pushing Manifests").
pub(crate) const LONGEST: u64 = 4 << 20;

/// The SHA-256 in a digest; no other kind is supported.
pub(crate) fn sha256(digest: &image::Digest) -> Result<Digest, Error> {
    let known = match digest.algorithm() {
        DigestAlgorithm::Sha256 => digest.digest().parse().ok(),
        _ => None,
    };
    known.ok_or_else(|| Error::Digest(digest.to_string()))
}

/// Refuses a document that says to be longer than any.
pub(crate) fn is_document(descriptor: &Descriptor) -> Result<(), Error> {
    match descriptor.size() <= LONGEST {
        true => Ok(()),
        false => Err(Error::TooLong {
            document: descriptor.digest().to_string(),
            bytes: descriptor.size(),
            most: LONGEST,
        }),
    }
}

/// Checks a document that is in memory.
pub(crate) fn check(bytes: &[u8], descriptor: &Descriptor) -> Result<(), Error> {
    let wanted = sha256(descriptor.digest())?;
    let (size, got) = (descriptor.size(), bytes.len() as u64);
    let checked = match size == got {
        true => compare(wanted, Digest::of(Sha256::new_with_prefix(bytes))),
        false => Err(Mismatch::Size { wanted: size, got }),
    };
    checked.map_err(|source| Error::Mismatch {
        what: descriptor.digest().to_string(),
        source,
    })
}

fn compare(wanted: Digest, got: Digest) -> Result<(), Mismatch> {
    match wanted == got {
        true => Ok(()),
        false => Err(Mismatch::Digest { wanted, got }),
    }
}

/// A reader whose end is an error unless what was read has the right digest and length. Reading to the end is what
/// verifies.
pub struct Verified<R> {
    from: R,
    hash: Sha256,
    wanted: Option<Digest>,
    /// The length, where it is known.
    size: Option<u64>,
    read: u64,
}

impl<R: Read> Verified<R> {
    /// Without a `wanted` digest, only the length is checked.
    pub fn new(from: R, wanted: Option<Digest>, size: Option<u64>) -> Self {
        Self {
            from,
            hash: Sha256::new(),
            wanted,
            size,
            read: 0,
        }
    }

    fn at_end(&mut self) -> io::Result<()> {
        let mismatch = |mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch);
        self.check_size(|got, wanted| got == wanted).map_err(mismatch)?;
        let Some(wanted) = self.wanted.take() else {
            return Ok(());
        };
        let got = Digest::of(std::mem::take(&mut self.hash));
        compare(wanted, got).map_err(mismatch)
    }

    fn check_size(&self, fits: impl Fn(u64, u64) -> bool) -> Result<(), Mismatch> {
        match self.size {
            Some(wanted) if !fits(self.read, wanted) => Err(Mismatch::Size {
                wanted,
                got: self.read,
            }),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.at_end()?;
            return Ok(0);
        }
        self.read += read as u64;
        self.check_size(|got, wanted| got <= wanted)
            .map_err(|mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch))?;
        if self.wanted.is_some() {
            self.hash.update(&buffer[..read]);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(content: &[u8], size: Option<u64>) -> io::Result<u64> {
        let mut verified = Verified::new(content, Some(ABC.parse().unwrap()), size);
        io::copy(&mut verified, &mut io::sink())
    }

    #[test]
    fn only_the_right_content_ends_well() {
        assert_eq!(read(b"abc", Some(3)).unwrap(), 3);
        assert_eq!(read(b"abc", None).unwrap(), 3);
        let words = |result: io::Result<u64>| result.unwrap_err().to_string();
        assert!(words(read(b"abd", Some(3))).contains("expected sha256:ba78"));
        assert!(words(read(b"ab", Some(3))).contains("the size is 2 bytes, expected 3"));
        assert!(words(read(b"abcd", Some(3))).contains("the size is 4 bytes, expected 3"));
    }
}
