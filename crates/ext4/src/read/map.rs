//! Which blocks a file has: its extent tree.
//!
//! Source: the kernel's documentation, `filesystems/ext4/ifork.rst`.

use std::fs::File;

use super::Node;
use super::tables::Tables;
use crate::Error;
use crate::extents::{ENTRY, HEADER, MAGIC, MAX_EXTENT};
use crate::fields::{get16, get32};
use crate::inode::USES_EXTENTS;

/// The deepest tree that Linux makes.
const DEEPEST: u16 = 5;

/// The most pieces of a file. Linux merges what lies together; a file in more pieces was made so.
const MOST_PIECES: usize = 4 << 20;

/// Consecutive blocks with content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The first one's place in the file, in blocks.
    pub(super) logical: u32,
    /// The first one's place in the file system.
    pub(super) physical: u64,
    pub(super) blocks: u32,
}

/// The blocks of a file that have content, in order. Those that were reserved and never written are holes.
pub(super) fn read(file: &File, tables: &Tables, node: &Node) -> Result<Vec<Mapped>, Error> {
    if node.flags & USES_EXTENTS == 0 {
        // A file without content may say nothing; one with an ext2 map is not read here.
        return match node.block_area {
            area if area == [0; 60] => Ok(Vec::new()),
            _ => Err(Error::Unreadable {
                reason: "it has files that are mapped as in ext2",
            }),
        };
    }
    let mut walk = Walk {
        file,
        tables,
        damaged: node.number,
        next: 0,
        blocks_left: tables.blocks,
        mapped: Vec::new(),
    };
    walk.node(&node.block_area, None)?;
    Ok(walk.mapped)
}

struct Walk<'a> {
    file: &'a File,
    tables: &'a Tables,
    damaged: u32,
    /// The first block of the file that is not passed yet. It only grows, so that no tree is walked for ever.
    next: u64,
    /// A file has no more blocks than its file system.
    blocks_left: u64,
    mapped: Vec<Mapped>,
}

impl Walk<'_> {
    fn node(&mut self, raw: &[u8], depth: Option<u16>) -> Result<(), Error> {
        let damaged = Error::DamagedInode { number: self.damaged };
        let (entries, own_depth) = (usize::from(get16(raw, 2)), get16(raw, 6));
        let is_right = get16(raw, 0) == MAGIC
            && HEADER + entries * ENTRY <= raw.len()
            && match depth {
                None => own_depth <= DEEPEST,
                Some(depth) => own_depth == depth && entries > 0,
            };
        if !is_right {
            return Err(damaged);
        }
        for entry in raw[HEADER..HEADER + entries * ENTRY].chunks_exact(ENTRY) {
            if own_depth == 0 {
                self.leaf(entry)?;
                continue;
            }
            let child = u64::from(get32(entry, 4)) | u64::from(get16(entry, 8)) << 32;
            let child = self.tables.read_block(self.file, child, "extent tree")?;
            self.node(&child, Some(own_depth - 1))?;
        }
        Ok(())
    }

    fn leaf(&mut self, entry: &[u8]) -> Result<(), Error> {
        let logical = get32(entry, 0);
        let told = u32::from(get16(entry, 4));
        let (blocks, is_written) = match told {
            told if told <= MAX_EXTENT => (told, true),
            told => (told - MAX_EXTENT, false),
        };
        let physical = u64::from(get32(entry, 8)) | u64::from(get16(entry, 6)) << 32;
        let in_place = physical > 0 && physical.saturating_add(blocks.into()) <= self.tables.blocks;
        if blocks == 0 || u64::from(logical) < self.next || !in_place {
            return Err(Error::DamagedInode { number: self.damaged });
        }
        self.next = u64::from(logical) + u64::from(blocks);
        let left = self.blocks_left.checked_sub(blocks.into());
        self.blocks_left = left.ok_or(Error::DamagedInode { number: self.damaged })?;
        if is_written {
            if self.mapped.len() == MOST_PIECES {
                return Err(Error::Unreadable {
                    reason: "it has a file in too many pieces",
                });
            }
            self.mapped.push(Mapped {
                logical,
                physical,
                blocks,
            });
        }
        Ok(())
    }
}
