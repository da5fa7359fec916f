//! Extents, and the tree that maps a file's blocks.
//!
//! Up to four extents stand in the inode itself; more go to leaf blocks of 340, below as many index levels as needed.
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/ifork.rst`.

use crate::Error;
use crate::checksum::Seed;
use crate::fields::{put16, put32};
use crate::layout::BLOCK;

/// The most blocks that one extent maps.
pub(crate) const MAX_EXTENT: u32 = 32_768;
pub(crate) const MAGIC: u16 = 0xF30A;
pub(crate) const HEADER: usize = 12;
pub(crate) const ENTRY: usize = 12;
const ROOT_ENTRIES: usize = 4;
const NODE_ENTRIES: usize = (BLOCK - HEADER - 4) / ENTRY;

/// Consecutive blocks of a file that are consecutive in the image; of any length, cut when encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first one's place in the file.
    pub(crate) logical: u32,
    /// The first one's place in the image.
    pub(crate) physical: u64,
    /// How many.
    pub(crate) blocks: u32,
}

/// Adds blocks at the file's end, to the last extent if they continue it.
pub(crate) fn append(extents: &mut Vec<Extent>, logical: u32, physical: u64, blocks: u32) {
    if let Some(last) = extents.last_mut()
        && last.logical + last.blocks == logical
        && last.physical + u64::from(last.blocks) == physical
    {
        last.blocks += blocks;
    } else {
        extents.push(Extent {
            logical,
            physical,
            blocks,
        });
    }
}

/// A block of the tree and where it goes.
pub(crate) struct TreeBlock {
    pub(crate) place: u64,
    pub(crate) bytes: Box<[u8; BLOCK]>,
}

/// An inode's map in its encoded form.
pub(crate) struct EncodedMap {
    /// The content of the inode's block area.
    pub(crate) root: [u8; 60],
    /// The blocks outside the inode.
    pub(crate) blocks: Vec<TreeBlock>,
}

/// One entry of a node: what it maps first, and its encoding.
type Entry = (u32, [u8; ENTRY]);

/// Encodes a map. `place` gives blocks for the nodes outside the inode; `seed` is the inode's.
pub(crate) fn encode(
    extents: &[Extent],
    seed: Seed,
    mut place: impl FnMut() -> Result<u64, Error>,
) -> Result<EncodedMap, Error> {
    let mut entries: Vec<Entry> = extents
        .iter()
        .flat_map(|extent| pieces(*extent))
        .map(leaf_entry)
        .collect();
    let mut blocks = Vec::new();
    let mut depth = 0;
    while entries.len() > ROOT_ENTRIES {
        let mut parents = Vec::with_capacity(entries.len().div_ceil(NODE_ENTRIES));
        for chunk in entries.chunks(NODE_ENTRIES) {
            let mut bytes = Box::new([0; BLOCK]);
            encode_node(bytes.as_mut_slice(), chunk, NODE_ENTRIES, depth);
            let tail = HEADER + NODE_ENTRIES * ENTRY;
            let checksum = seed.over(&bytes[..tail]);
            put32(bytes.as_mut_slice(), tail, checksum);
            let place = place()?;
            parents.push(index_entry(chunk[0].0, place));
            blocks.push(TreeBlock { place, bytes });
        }
        entries = parents;
        depth += 1;
    }
    let mut root = [0; 60];
    encode_node(&mut root, &entries, ROOT_ENTRIES, depth);
    Ok(EncodedMap { root, blocks })
}

/// Cuts an extent to the lengths that can be encoded.
fn pieces(extent: Extent) -> impl Iterator<Item = Extent> {
    (0..extent.blocks)
        .step_by(MAX_EXTENT as usize)
        .map(move |skipped| Extent {
            logical: extent.logical + skipped,
            physical: extent.physical + u64::from(skipped),
            blocks: (extent.blocks - skipped).min(MAX_EXTENT),
        })
}

fn leaf_entry(extent: Extent) -> Entry {
    let mut raw = [0; ENTRY];
    put32(&mut raw, 0, extent.logical);
    put16(&mut raw, 4, extent.blocks as u16);
    put16(&mut raw, 6, (extent.physical >> 32) as u16);
    put32(&mut raw, 8, extent.physical as u32);
    (extent.logical, raw)
}

fn index_entry(logical: u32, child: u64) -> Entry {
    let mut raw = [0; ENTRY];
    put32(&mut raw, 0, logical);
    put32(&mut raw, 4, child as u32);
    put16(&mut raw, 8, (child >> 32) as u16);
    (logical, raw)
}

fn encode_node(raw: &mut [u8], entries: &[Entry], capacity: usize, depth: u16) {
    put16(raw, 0, MAGIC);
    put16(raw, 2, entries.len() as u16);
    put16(raw, 4, capacity as u16);
    put16(raw, 6, depth);
    for (slot, (_, entry)) in raw[HEADER..].chunks_exact_mut(ENTRY).zip(entries) {
        slot.copy_from_slice(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::get16;

    fn fragmented(count: u32) -> Vec<Extent> {
        (0..count)
            .map(|n| Extent {
                logical: 2 * n,
                physical: 1000 + 3 * u64::from(n),
                blocks: 1,
            })
            .collect()
    }

    fn shape(extents: &[Extent]) -> (u16, u16, usize) {
        let mut next = 5000;
        let place = || {
            next += 1;
            Ok(next)
        };
        let map = encode(extents, Seed::of_uuid(&[0; 16]), place).unwrap();
        (get16(&map.root, 2), get16(&map.root, 6), map.blocks.len())
    }

    #[test]
    fn the_tree_is_as_deep_as_it_must_be() {
        assert_eq!(shape(&[]), (0, 0, 0));
        assert_eq!(shape(&fragmented(4)), (4, 0, 0));
        assert_eq!(shape(&fragmented(5)), (1, 1, 1));
        assert_eq!(shape(&fragmented(4 * 340)), (4, 1, 4));
        assert_eq!(shape(&fragmented(4 * 340 + 1)), (1, 2, 6));
    }

    #[test]
    fn long_extents_are_cut_and_neighbours_joined() {
        let mut extents = Vec::new();
        append(&mut extents, 0, 100, 40_000);
        append(&mut extents, 40_000, 40_100, 30_000);
        assert_eq!(
            extents,
            [Extent {
                logical: 0,
                physical: 100,
                blocks: 70_000
            }]
        );
        append(&mut extents, 70_001, 70_100, 1);
        assert_eq!(extents.len(), 2);
        let lengths: Vec<u32> = pieces(extents[0]).map(|piece| piece.blocks).collect();
        assert_eq!(lengths, [32_768, 32_768, 4_464]);
    }
}
