//! Directory blocks: plain lists of entries, and the hash tree over them where a directory is large.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/directory.rst`.

use crate::checksum::Seed;
use crate::fields::{put16, put32};
use crate::layout::BLOCK;
use crate::name_hash::NameHasher;

/// Directories of more blocks than this get a hash tree.
const LARGEST_PLAIN: usize = 4;

const TAIL: usize = 12;
const ENTRY_HEADER: usize = 8;
/// Bytes for entries in a block.
const ENTRY_SPACE: usize = BLOCK - TAIL;

/// Type of an entry's inode as a directory entry says it.
pub(crate) mod entry_type {
    pub(crate) const FILE: u8 = 1;
    pub(crate) const DIRECTORY: u8 = 2;
    pub(crate) const CHAR: u8 = 3;
    pub(crate) const BLOCK: u8 = 4;
    pub(crate) const FIFO: u8 = 5;
    pub(crate) const SOCKET: u8 = 6;
    pub(crate) const SYMLINK: u8 = 7;
}

/// One name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirEntry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) inode: u32,
    /// One of [`entry_type`].
    pub(crate) kind: u8,
}

/// A directory's content.
pub(crate) struct EncodedDirectory {
    /// Whole blocks.
    pub(crate) bytes: Vec<u8>,
    /// Whether the first block is the root of a hash tree.
    pub(crate) indexed: bool,
}

/// Encodes the directory `own` below `parent`. `seed` is the directory inode's.
pub(crate) fn encode(
    own: u32,
    parent: u32,
    entries: &[DirEntry<'_>],
    seed: Seed,
    hasher: NameHasher,
) -> EncodedDirectory {
    let dots = [
        DirEntry {
            name: b".",
            inode: own,
            kind: entry_type::DIRECTORY,
        },
        DirEntry {
            name: b"..",
            inode: parent,
            kind: entry_type::DIRECTORY,
        },
    ];
    let mut plain = EntryBlocks::default();
    for entry in dots.iter().chain(entries) {
        plain.push(entry);
    }
    let bytes = plain.finish(seed);
    if bytes.len() > LARGEST_PLAIN * BLOCK
        && let Some(bytes) = encode_tree(&dots, entries, seed, hasher)
    {
        return EncodedDirectory { bytes, indexed: true };
    }
    EncodedDirectory {
        bytes,
        indexed: false,
    }
}

/// Bytes of an entry with a name of this length.
fn entry_bytes(name_len: usize) -> usize {
    ENTRY_HEADER + name_len.next_multiple_of(4)
}

fn encode_entry(raw: &mut [u8], entry: &DirEntry<'_>, len: usize) {
    put32(raw, 0, entry.inode);
    put16(raw, 4, len as u16);
    raw[6] = entry.name.len() as u8;
    raw[7] = entry.kind;
    raw[ENTRY_HEADER..ENTRY_HEADER + entry.name.len()].copy_from_slice(entry.name);
}

/// Packs entries into blocks, each with a checksum at its end.
#[derive(Default)]
struct EntryBlocks {
    bytes: Vec<u8>,
    /// Bytes used in the last block, and where its last entry starts.
    used: usize,
    last: usize,
}

impl EntryBlocks {
    /// Adds an entry; tells whether that began a new block.
    fn push(&mut self, entry: &DirEntry<'_>) -> bool {
        let len = entry_bytes(entry.name.len());
        let begins = self.bytes.is_empty() || self.used + len > ENTRY_SPACE;
        if begins {
            self.stretch_last();
            self.bytes.resize(self.bytes.len() + BLOCK, 0);
            self.used = 0;
        }
        let block = self.bytes.len() - BLOCK;
        encode_entry(&mut self.bytes[block + self.used..], entry, len);
        self.last = self.used;
        self.used += len;
        begins
    }

    /// Lets the last entry of the last block reach up to the checksum.
    fn stretch_last(&mut self) {
        if let Some(block) = self.bytes.len().checked_sub(BLOCK) {
            put16(
                &mut self.bytes,
                block + self.last + 4,
                (ENTRY_SPACE - self.last) as u16,
            );
        }
    }

    fn finish(mut self, seed: Seed) -> Vec<u8> {
        self.stretch_last();
        for block in self.bytes.chunks_exact_mut(BLOCK) {
            put16(block, ENTRY_SPACE + 4, TAIL as u16);
            block[ENTRY_SPACE + 7] = 0xDE;
            let checksum = seed.over(&block[..ENTRY_SPACE]);
            put32(block, ENTRY_SPACE + 8, checksum);
        }
        self.bytes
    }
}

/// A reference to a block of the tree: the lowest hash below it, and its place in the directory.
#[derive(Clone, Copy)]
struct Child {
    hash: u32,
    block: u32,
}

/// Where an index block's count and entries begin: in the root after both dots and the description of the tree.
const ROOT_INDEX: usize = 0x20;
const NODE_INDEX: usize = 0x08;

/// How many children an index block holds; eight bytes at its end are for the checksum.
const fn index_capacity(start: usize) -> usize {
    (BLOCK - start - 8) / 8
}

/// The tree: its root, the nodes of a middle level if one is needed, the leaves. `None` if two levels are not enough.
fn encode_tree(
    dots: &[DirEntry<'_>; 2],
    entries: &[DirEntry<'_>],
    seed: Seed,
    hasher: NameHasher,
) -> Option<Vec<u8>> {
    let (leaves, hashes) = encode_leaves(entries, seed, hasher);
    let direct = hashes.len() <= index_capacity(ROOT_INDEX);
    let nodes = if direct {
        0
    } else {
        hashes.len().div_ceil(index_capacity(NODE_INDEX))
    };
    if nodes > index_capacity(ROOT_INDEX) {
        return None;
    }
    let children: Vec<Child> = (1 + nodes as u32..)
        .zip(&hashes)
        .map(|(block, &hash)| Child { hash, block })
        .collect();
    let mut bytes = vec![0; BLOCK];
    encode_entry(&mut bytes, &dots[0], 12);
    encode_entry(&mut bytes[12..], &dots[1], BLOCK - 12);
    bytes[0x1C] = 1;
    bytes[0x1D] = 8;
    bytes[0x1E] = u8::from(!direct);
    if direct {
        encode_index(&mut bytes, ROOT_INDEX, &children, seed);
    } else {
        let mut middle = Vec::with_capacity(nodes);
        for (block, chunk) in (1..).zip(children.chunks(index_capacity(NODE_INDEX))) {
            let mut node = [0; BLOCK];
            put16(&mut node, 4, BLOCK as u16);
            encode_index(&mut node, NODE_INDEX, chunk, seed);
            middle.push(Child {
                hash: chunk[0].hash,
                block,
            });
            bytes.extend_from_slice(&node);
        }
        encode_index(&mut bytes[..BLOCK], ROOT_INDEX, &middle, seed);
    }
    bytes.extend_from_slice(&leaves);
    Some(bytes)
}

/// The leaves in the order of their names' hashes, and the lowest hash of each. A hash is odd if names of the same
/// hash stand at the end of the leaf before.
fn encode_leaves(entries: &[DirEntry<'_>], seed: Seed, hasher: NameHasher) -> (Vec<u8>, Vec<u32>) {
    let mut ordered: Vec<((u32, u32), &DirEntry<'_>)> = entries
        .iter()
        .map(|entry| (hasher.hash(entry.name), entry))
        .collect();
    ordered.sort_by_key(|&(hash, entry)| (hash, entry.name));
    let mut blocks = EntryBlocks::default();
    let mut hashes = Vec::new();
    let mut before = None;
    for ((hash, _), entry) in ordered {
        if blocks.push(entry) {
            let continues = before == Some(hash);
            hashes.push(if hashes.is_empty() {
                0
            } else {
                hash | u32::from(continues)
            });
        }
        before = Some(hash);
    }
    (blocks.finish(seed), hashes)
}

/// The count, the children and the checksum of an index block. The first child's hash is implied.
fn encode_index(block: &mut [u8], start: usize, children: &[Child], seed: Seed) {
    let capacity = index_capacity(start);
    put16(block, start, capacity as u16);
    put16(block, start + 2, children.len() as u16);
    for (index, child) in children.iter().enumerate() {
        let at = start + index * 8;
        if index > 0 {
            put32(block, at, child.hash);
        }
        put32(block, at + 4, child.block);
    }
    let mut checked = block[..start + children.len() * 8].to_vec();
    checked.extend_from_slice(&[0; 8]);
    put32(block, start + capacity * 8 + 4, seed.over(&checked));
}

#[cfg(test)]
mod tests;
