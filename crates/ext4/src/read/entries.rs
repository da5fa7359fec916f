//! The names in a directory.
//!
//! The blocks of a hash index look like blocks of one empty entry each, so a plain walk over all blocks sees every name.
//! Source: the kernel's documentation, `filesystems/ext4/directory.rst`.

use std::fs::File;

use super::tables::Tables;
use super::{Name, Node, map};
use crate::fields::{get16, get32};
use crate::{Error, Kind};

/// The most names in a directory, and in a file system.
const MOST_NAMES: usize = 4_000_000;

/// Bytes of an entry before its name.
const HEADER: usize = 8;

pub(super) fn read(file: &File, tables: &Tables, directory: &Node) -> Result<Vec<Name>, Error> {
    let damaged = || Error::DamagedInode {
        number: directory.number,
    };
    if directory.kind != Kind::Directory {
        return Err(damaged());
    }
    let mut names = Vec::new();
    // The same blocks twice would be names without end.
    let mut blocks = tables.blocks;
    for mapped in map::read(file, tables, directory)? {
        blocks = blocks.checked_sub(mapped.blocks.into()).ok_or_else(damaged)?;
        for place in mapped.physical..mapped.physical + u64::from(mapped.blocks) {
            let block = tables.read_block(file, place, "directory")?;
            in_block(&block, &mut names).ok_or_else(damaged)?;
            if names.len() > MOST_NAMES {
                return Err(Error::Unreadable {
                    reason: "it has a directory with too many names",
                });
            }
        }
    }
    Ok(names)
}

/// Adds the names of a block; `None` if it contradicts itself.
fn in_block(block: &[u8], names: &mut Vec<Name>) -> Option<()> {
    let mut at = 0;
    while at < block.len() {
        let rest = &block[at..];
        if rest.len() < HEADER {
            return None;
        }
        // A block of 64 KiB is as long as the field can tell, and then 0 or 65535 says so.
        let len = match get16(rest, 4) {
            0 | u16::MAX if block.len() == 65_536 => block.len(),
            len => usize::from(len),
        };
        let (inode, name_len) = (get32(rest, 0), usize::from(rest[6]));
        if len < HEADER || len > rest.len() || !len.is_multiple_of(4) || HEADER + name_len > len {
            return None;
        }
        let name = &rest[HEADER..HEADER + name_len];
        // The checksum's place looks like an entry without an inode.
        if inode != 0 && !matches!(name, b"." | b"..") {
            if name.is_empty() || name.iter().any(|&byte| matches!(byte, b'/' | 0)) {
                return None;
            }
            names.push(Name {
                name: name.to_vec(),
                inode,
            });
        }
        at += len;
    }
    Some(())
}
