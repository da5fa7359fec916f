//! Extended attributes: small ones in the inode, the others in one block.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/attributes.rst`. The form of access control
//! lists on disk, which differs from that of their attribute's value, is that of the kernel's `fs/ext4/acl.h`.

use std::collections::BTreeMap;

use crate::checksum::Seed;
use crate::fields::{get16, get32, put16, put32};
use crate::layout::{BLOCK, EXTRA_INODE_BYTES, INODE_BYTES};
use crate::{Error, Xattr};

/// Bytes for attributes in an inode.
pub(crate) const IN_INODE_BYTES: usize = INODE_BYTES - 128 - EXTRA_INODE_BYTES as usize;

pub(crate) const MAGIC: u32 = 0xEA02_0000;
pub(crate) const BLOCK_HEADER: usize = 32;
pub(crate) const ENTRY_HEADER: usize = 16;

/// An inode's attributes as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredXattrs {
    /// What the inode holds, from its magic number on; empty if nothing.
    pub(crate) in_inode: Box<[u8]>,
    /// What the block holds.
    block: Vec<Entry>,
}

/// One attribute; ordered as the block wants its entries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    namespace: u8,
    name_len: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl StoredXattrs {
    /// Distributes the attributes of the entry at `path`, which is only for errors.
    pub(crate) fn new(xattrs: &[Xattr], path: &[u8]) -> Result<Self, Error> {
        if xattrs.is_empty() {
            return Ok(Self::default());
        }
        let latest: BTreeMap<&[u8], &[u8]> = xattrs
            .iter()
            .map(|xattr| (xattr.name.as_slice(), xattr.value.as_slice()))
            .collect();
        let mut entries = Vec::with_capacity(latest.len());
        for (name, value) in latest {
            entries.push(Entry::new(name, value, path)?);
        }
        entries.sort();
        let mut used = 4 + 4;
        let (in_inode, block): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| {
            let fits = used + entry.stored_bytes() <= IN_INODE_BYTES;
            used += if fits { entry.stored_bytes() } else { 0 };
            fits
        });
        let block_bytes: usize = block.iter().map(Entry::stored_bytes).sum();
        if BLOCK_HEADER + 4 + block_bytes > BLOCK {
            return Err(Error::XattrsTooLarge { path: path.to_vec() });
        }
        Ok(Self {
            in_inode: encode_in_inode(&in_inode),
            block,
        })
    }

    /// Whether a block is needed.
    pub(crate) fn needs_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// The block for this place in the image.
    pub(crate) fn encode_block(&self, seed: Seed, place: u64) -> Box<[u8; BLOCK]> {
        let mut raw = Box::new([0; BLOCK]);
        let bytes = raw.as_mut_slice();
        put32(bytes, 0x00, MAGIC);
        put32(bytes, 0x04, 1);
        put32(bytes, 0x08, 1);
        encode_entries(bytes, BLOCK_HEADER, 0, &self.block);
        let hash = self
            .block
            .iter()
            .fold(0u32, |hash, entry| hash.rotate_left(16) ^ entry.hash());
        put32(bytes, 0x0C, hash);
        let mut checked = place.to_le_bytes().to_vec();
        checked.extend_from_slice(bytes);
        put32(bytes, 0x10, seed.over(&checked));
        raw
    }
}

impl Entry {
    fn new(name: &[u8], value: &[u8], path: &[u8]) -> Result<Self, Error> {
        let bad_name = || Error::InvalidXattrName {
            path: path.to_vec(),
            name: name.to_vec(),
        };
        let (namespace, suffix) = split_name(name).ok_or_else(bad_name)?;
        if suffix.len() > 255 || suffix.contains(&0) || suffix.is_empty() != is_acl(namespace) {
            return Err(bad_name());
        }
        let value = if is_acl(namespace) {
            acl_on_disk(value).ok_or_else(|| Error::InvalidAcl {
                path: path.to_vec(),
                name: name.to_vec(),
            })?
        } else {
            value.to_vec()
        };
        Ok(Self {
            namespace,
            name_len: suffix.len(),
            name: suffix.to_vec(),
            value,
        })
    }

    fn header_bytes(&self) -> usize {
        ENTRY_HEADER + self.name.len().next_multiple_of(4)
    }

    fn value_bytes(&self) -> usize {
        self.value.len().next_multiple_of(4)
    }

    fn stored_bytes(&self) -> usize {
        self.header_bytes() + self.value_bytes()
    }

    /// The hash over name and value that a block's entries carry.
    fn hash(&self) -> u32 {
        let named = self
            .name
            .iter()
            .fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(named, |hash, chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

fn encode_in_inode(entries: &[Entry]) -> Box<[u8]> {
    if entries.is_empty() {
        return Box::default();
    }
    let mut raw = [0; IN_INODE_BYTES];
    put32(&mut raw, 0, MAGIC);
    encode_entries(&mut raw, 4, 4, entries);
    raw.into()
}

/// Entries from `at` upwards, their values from the end downwards; value offsets count from `base`.
fn encode_entries(raw: &mut [u8], mut at: usize, base: usize, entries: &[Entry]) {
    let mut value_at = raw.len();
    for entry in entries {
        value_at -= entry.value_bytes();
        raw[value_at..value_at + entry.value.len()].copy_from_slice(&entry.value);
        raw[at] = entry.name.len() as u8;
        raw[at + 1] = entry.namespace;
        put16(
            raw,
            at + 2,
            if entry.value.is_empty() {
                0
            } else {
                (value_at - base) as u16
            },
        );
        put32(raw, at + 8, entry.value.len() as u32);
        put32(raw, at + 12, entry.hash());
        raw[at + ENTRY_HEADER..at + ENTRY_HEADER + entry.name.len()].copy_from_slice(&entry.name);
        at += entry.header_bytes();
    }
}

const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;

const NAMESPACES: [(&[u8], u8); 6] = [
    (b"system.posix_acl_access", ACL_ACCESS),
    (b"system.posix_acl_default", ACL_DEFAULT),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
    (b"system.", 7),
];

/// The number of a name's namespace, and the rest of the name.
fn split_name(name: &[u8]) -> Option<(u8, &[u8])> {
    NAMESPACES
        .iter()
        .find_map(|&(prefix, number)| Some((number, name.strip_prefix(prefix)?)))
}

/// The name of which this is the rest.
pub(crate) fn full_name(namespace: u8, rest: &[u8]) -> Option<Vec<u8>> {
    let (prefix, _) = NAMESPACES.iter().find(|(_, number)| *number == namespace)?;
    Some([prefix, rest].concat())
}

/// Whether attributes of this namespace are access control lists.
pub(crate) fn is_acl(namespace: u8) -> bool {
    matches!(namespace, ACL_ACCESS | ACL_DEFAULT)
}

const NAMED_USER: u16 = 0x02;
const NAMED_GROUP: u16 = 0x08;

/// Turns an access control list's attribute value (version 2, 8 bytes an entry) into the form on disk (version 1,
/// where only entries for named users and groups carry an id).
fn acl_on_disk(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&[2, 0, 0, 0])?;
    if entries.is_empty() || entries.len() % 8 != 0 {
        return None;
    }
    let mut stored = vec![1, 0, 0, 0];
    for entry in entries.chunks_exact(8) {
        stored.extend_from_slice(&entry[..4]);
        match get16(entry, 0) {
            NAMED_USER | NAMED_GROUP => stored.extend_from_slice(&get32(entry, 4).to_le_bytes()),
            0x01 | 0x04 | 0x10 | 0x20 => {}
            _ => return None,
        }
    }
    Some(stored)
}

/// The reverse of [`acl_on_disk`]: entries without an id get the one that the kernel shows for them, which is none.
pub(crate) fn acl_from_disk(stored: &[u8]) -> Option<Vec<u8>> {
    let mut rest = stored.strip_prefix(&[1, 0, 0, 0])?;
    let mut value = vec![2, 0, 0, 0];
    while !rest.is_empty() {
        value.extend_from_slice(rest.get(..4)?);
        let named = matches!(get16(rest, 0), NAMED_USER | NAMED_GROUP);
        let id = if named {
            get32(rest.get(4..8)?, 0)
        } else {
            u32::MAX
        };
        value.extend_from_slice(&id.to_le_bytes());
        rest = &rest[if named { 8 } else { 4 }..];
    }
    Some(value)
}
