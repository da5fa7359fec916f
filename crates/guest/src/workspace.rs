//! Placing a workspace: what the guest has, and the stream that changes it.
//!
//! The guest keeps a *manifest* of what was placed, each file with a *tag* that the host chose for its content. The host
//! asks first ([`Look`]): is the manifest the one that I know ([`Seen::Placed`]'s `same`), and which of its files does the
//! guest have otherwise now? Then it sends what differs, as a stream of entries in frames of standard input, and the guest says
//! in the end what came of it ([`crate::FilesEnd`]):
//!
//! ```text
//! entry   := kind:u8 path_len:u32 path mode:u32 mtime_s:i64 mtime_ns:u32 content tag_len:u32 tag
//! content := (len:u32 bytes)* 0:u32                          integers are big-endian
//! ```
//!
//! Content is in chunks and the tag comes after it, because a file may change while it is read: then its tag says so.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::query::{self, Query, QueryError};

/// The longest path or tag of an entry.
const MAX_NAME: u32 = 64 << 10;

/// The most bytes of a chunk of content.
pub const MAX_CHUNK: usize = 1 << 20;

/// What the host asks about a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Absolute directory in the guest.
    pub path: String,
    /// The generation that the host knows the manifest of.
    #[serde(default)]
    pub generation: Option<String>,
    /// Paths under it, percent-encoded ([`crate::query::encoded`]), that are to be looked for beside those of the manifest.
    #[serde(default)]
    pub probe: Vec<String>,
}

/// What the guest has at that place. Paths are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Seen {
    /// Nothing, or an empty directory.
    Absent,
    /// Something that was not placed there by a host.
    Foreign,
    /// A workspace.
    Placed {
        /// Whether its manifest is the one of the generation that was asked for.
        same: bool,
        /// The manifest's paths and tags, when it is another.
        entries: Vec<(String, String)>,
        /// Paths of the manifest that are not as they were placed.
        changed: Vec<String>,
        /// Which of the probed paths are taken.
        taken: Vec<String>,
        /// Whether HEAD, its branch or the index are not as they were placed.
        git_touched: bool,
    },
}

/// The query of the route that changes a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutWorkspace {
    /// Absolute directory in the guest.
    pub path: String,
    /// Whose it is, as [`crate::Exec::user`] names them; root's when absent.
    pub owner: Option<String>,
}

impl PutWorkspace {
    /// It as a query.
    pub fn to_query(&self) -> String {
        let query = Query::default().add("path", self.path.as_bytes());
        let owner = self.owner.iter();
        owner
            .fold(query, |query, owner| query.add("owner", owner.as_bytes()))
            .end()
    }

    /// Reads it from a query.
    ///
    /// # Errors
    /// When the query has anything else, or no path.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut put = Self::default();
        for pair in query::pairs(text) {
            let (name, value) = pair?;
            let text = |name| String::from_utf8(value).map_err(|_| QueryError::Value(name));
            match name {
                "path" => put.path = text("path")?,
                "owner" => put.owner = Some(text("owner")?),
                other => return Err(QueryError::Unknown(other.to_owned())),
            }
        }
        match put.path.is_empty() {
            true => Err(QueryError::Missing("path")),
            false => Ok(put),
        }
    }
}

/// Which workspace to make read-only, or writable again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protect {
    /// Absolute directory in the guest.
    pub path: String,
    /// Whether it cannot be written to.
    pub readonly: bool,
}

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

fn name(from: &mut impl Read) -> io::Result<Vec<u8>> {
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

    #[test]
    fn a_query_says_where_and_whose() {
        for owner in [None, Some("1000:1000".to_owned()), Some("a b&c".to_owned())] {
            let path = "/root/re po".to_owned();
            let put = PutWorkspace { path, owner };
            assert_eq!(PutWorkspace::parse(&put.to_query()), Ok(put));
        }
        assert!(PutWorkspace::parse("owner=0").is_err());
        assert!(PutWorkspace::parse("path=/a&mode=777").is_err());
    }

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
