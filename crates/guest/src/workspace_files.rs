//! Files of a workspace on their way into the guest, as frames: heads, chunks, tags.

use std::io::{self, Read};

/// The longest path or tag of an entry.
const MAX_NAME: u32 = 64 << 10;

/// The most bytes of a chunk of content.
pub const MAX_CHUNK: usize = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A file of the work tree.
    File = 1,
    /// A symbolic link of the work tree; its content is the target.
    Symlink = 2,
    /// A directory, which gets its mode and time when all else is written.
    Directory = 3,
    /// A path of the work tree that is to be there no more.
    Remove = 4,
    /// A file of the repository below `.git`, which the manifest does not have.
    Own = 5,
    /// A file below `.git` that is to be there no more.
    RemoveOwn = 6,
    /// The end: its path is the generation that the workspace now has.
    End = 7,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::File,
            2 => Self::Symlink,
            3 => Self::Directory,
            4 => Self::Remove,
            5 => Self::Own,
            6 => Self::RemoveOwn,
            7 => Self::End,
            _ => return None,
        })
    }
}

/// The fixed part of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Path under the workspace, every byte but NUL.
    pub path: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// And nanoseconds.
    pub mtime_ns: u32,
}

impl Head {
    /// An entry of which only the path counts.
    pub const fn bare(kind: Kind, path: Vec<u8>) -> Self {
        Self {
            kind,
            path,
            mode: 0,
            mtime: 0,
            mtime_ns: 0,
        }
    }

    /// The bytes that go before the content.
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21 + self.path.len());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&length(&self.path));
        bytes.extend_from_slice(&self.path);
        bytes.extend_from_slice(&self.mode.to_be_bytes());
        bytes.extend_from_slice(&self.mtime.to_be_bytes());
        bytes.extend_from_slice(&self.mtime_ns.to_be_bytes());
        bytes
    }

    /// Reads what [`Head::encoded`] gives.
    ///
    /// # Errors
    /// When the stream breaks or is none of entries.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let [kind] = array(from)?;
        let kind = Kind::from_byte(kind).ok_or_else(|| nonsense("an entry of unknown kind"))?;
        Ok(Self {
            kind,
            path: name(from)?,
            mode: u32::from_be_bytes(array(from)?),
            mtime: i64::from_be_bytes(array(from)?),
            mtime_ns: u32::from_be_bytes(array(from)?),
        })
    }
}

/// The bytes that go before a chunk of content.
pub fn chunk_header(chunk: &[u8]) -> [u8; 4] {
    length(chunk)
}

/// The bytes that end the content and the entry.
pub fn tail(tag: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&length(tag.as_bytes()));
    bytes.extend_from_slice(tag.as_bytes());
    bytes
}

/// Reads a chunk of content into `buffer`; nothing at its end.
///
/// # Errors
/// When the stream breaks or is none of entries.
pub fn read_chunk<'a>(from: &mut impl Read, buffer: &'a mut Vec<u8>) -> io::Result<Option<&'a [u8]>> {
    let len = u32::from_be_bytes(array(from)?) as usize;
    if len > MAX_CHUNK {
        return Err(nonsense("a chunk that is too long"));
    }
    buffer.resize(len, 0);
    from.read_exact(buffer)?;
    Ok((len > 0).then_some(buffer))
}

/// Reads the tag that follows the content.
///
/// # Errors
/// When the stream breaks or is none of entries.
pub fn read_tag(from: &mut impl Read) -> io::Result<String> {
    String::from_utf8(name(from)?).map_err(|_| nonsense("a tag that is no text"))
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn name(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let len = u32::from_be_bytes(array(from)?);
    if len > MAX_NAME {
        return Err(nonsense("a name that is too long"));
    }
    let mut bytes = vec![0; len as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_comes_back(
            path in prop::collection::vec(any::<u8>(), 0..80),
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5),
            mode in any::<u32>(),
            mtime in any::<i64>(),
        ) {
            let head = Head { kind: Kind::File, path, mode, mtime, mtime_ns: 7 };
            let mut bytes = head.encoded();
            for chunk in &chunks {
                bytes.extend_from_slice(&chunk_header(chunk));
                bytes.extend_from_slice(chunk);
            }
            bytes.extend_from_slice(&tail("tag"));
            let mut from = &bytes[..];
            prop_assert_eq!(Head::read(&mut from).unwrap(), head);
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            while let Some(chunk) = read_chunk(&mut from, &mut buffer).unwrap() {
                seen.push(chunk.to_vec());
            }
            prop_assert_eq!(seen, chunks);
            prop_assert_eq!(read_tag(&mut from).unwrap(), "tag");
            prop_assert!(from.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut from = &bytes[..];
            let _ = Head::read(&mut from);
            let _ = read_chunk(&mut from, &mut Vec::new());
            let _ = read_tag(&mut from);
        }
    }
}
