//! Extended attributes, in the inode and in a block of their own.
//!
//! Source: the kernel's documentation, `filesystems/ext4/attributes.rst`.

use std::fs::File;

use super::tables::Tables;
use crate::fields::{get16, get32};
use crate::xattr::{BLOCK_HEADER, ENTRY_HEADER, MAGIC, acl_from_disk, full_name, is_acl};
use crate::{Error, Xattr};

pub(super) fn read(file: &File, tables: &Tables, number: u32, inode: &[u8]) -> Result<Vec<Xattr>, Error> {
    let damaged = || Error::DamagedInode { number };
    let mut xattrs = Vec::new();
    if let Some(own) = in_inode(inode) {
        entries(own, own, &mut xattrs).ok_or_else(damaged)?;
    }
    let place = u64::from(get32(inode, 0x68)) | u64::from(get16(inode, 0x76)) << 32;
    if place != 0 {
        let block = tables.read_block(file, place, "block of attributes")?;
        if get32(&block, 0) != MAGIC || get32(&block, 8) != 1 {
            return Err(damaged());
        }
        entries(&block[BLOCK_HEADER..], &block, &mut xattrs).ok_or_else(damaged)?;
    }
    Ok(xattrs)
}

/// What an inode has for attributes, after the mark that there are some.
fn in_inode(inode: &[u8]) -> Option<&[u8]> {
    let extra = inode.get(0x80..0x82).map(|raw| usize::from(get16(raw, 0)))?;
    let own = inode.get(128 + extra..).filter(|own| own.len() >= 8)?;
    (get32(own, 0) == MAGIC).then_some(&own[4..])
}

/// Adds the entries of `raw`, whose values count from the start of `values`; `None` if they contradict themselves. Every
/// value has bytes of its own: otherwise one block could say a thousand times what it holds.
fn entries(raw: &[u8], values: &[u8], xattrs: &mut Vec<Xattr>) -> Option<()> {
    let mut rest = raw;
    let mut room = values.len();
    // Four zero bytes end them, or the end of what there is.
    while rest.len() >= 4 && get32(rest, 0) != 0 {
        let header = rest.get(..ENTRY_HEADER)?;
        let (name_len, namespace) = (usize::from(header[0]), header[1]);
        let (at, in_inode) = (usize::from(get16(header, 2)), get32(header, 4));
        let len = usize::try_from(get32(header, 8)).ok()?;
        let suffix = rest.get(ENTRY_HEADER..ENTRY_HEADER + name_len)?;
        if in_inode != 0 || suffix.contains(&0) {
            return None;
        }
        let value = match len {
            0 => &[],
            len => values.get(at..at.checked_add(len)?)?,
        };
        room = room.checked_sub(ENTRY_HEADER + name_len + len)?;
        xattrs.push(Xattr {
            name: full_name(namespace, suffix)?,
            value: match is_acl(namespace) {
                true => acl_from_disk(value)?,
                false => value.to_vec(),
            },
        });
        rest = rest.get(ENTRY_HEADER + name_len.next_multiple_of(4)..)?;
    }
    Some(())
}
