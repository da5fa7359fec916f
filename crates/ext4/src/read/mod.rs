//! Reads ext4 file systems: entries, attributes, content.
//!
//! ```text
//!  ImageReader ──> Node (an inode) ─┬─> entries: names and inodes of a directory
//!    superblock, tables             ├─> segments and content: of a file, holes left out
//!                                   └─> attributes, link targets
//! ```
//!
//! What is read may have been written by a guest that means harm: every place is checked before it is read, every walk
//! is bounded by what a file system of this size could hold. The file system must be at rest. Features that change how
//! files are stored and that neither this crate nor Linux's `mke2fs` use by default are refused when it is opened.

mod attributes;
mod content;
mod entries;
mod map;
mod tables;

use std::fs::File;

use crate::fields::{get_split32, get16, get32};
use crate::inode::{USES_EXTENTS, file_type};
use crate::layout::ROOT_INODE;
use crate::{DeviceKind, Error, Kind, Meta, Segment, Timestamp};

pub use content::Content;
use map::Mapped;
use tables::Tables;

/// A file system to read.
#[derive(Debug)]
pub struct ImageReader {
    file: File,
    tables: Tables,
}

/// An inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number; names with the same number are links to one file.
    pub number: u32,
    /// What it is.
    pub kind: Kind,
    /// Owner, mode, time, attributes.
    pub meta: Meta,
    /// Bytes of content, holes included; 0 for what has none.
    pub size: u64,
    /// Names that lead to it.
    pub links: u16,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    flags: u32,
    block_area: [u8; 60],
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// 1 to 255 bytes without slash or NUL; neither `.` nor `..`.
    pub name: Vec<u8>,
    /// The inode that it leads to.
    pub inode: u32,
}

impl ImageReader {
    /// Opens the file system in `file`.
    ///
    /// # Errors
    /// [`Error::NotExt4`] if there is none, [`Error::Dirty`] if it was neither unmounted nor frozen, [`Error::Unreadable`]
    /// if it uses what this crate cannot read, [`Error::Damaged`] if its tables contradict themselves.
    pub fn open(file: File) -> Result<Self, Error> {
        let tables = Tables::read(&file)?;
        Ok(Self { file, tables })
    }

    /// Bytes of the file system: no more than that can be in all its files together, holes left out.
    pub fn bytes(&self) -> u64 {
        self.tables.blocks.saturating_mul(self.tables.block)
    }

    /// The root directory.
    ///
    /// # Errors
    /// As [`node`](Self::node).
    pub fn root(&self) -> Result<Node, Error> {
        self.node(ROOT_INODE)
    }

    /// The inode of this number.
    ///
    /// # Errors
    /// When it cannot be read, is not in use, or its checksum is wrong.
    pub fn node(&self, number: u32) -> Result<Node, Error> {
        let raw = self.tables.inode(&self.file, number)?;
        let damaged = || Error::DamagedInode { number };
        let mode = get16(&raw, 0x00);
        let kind = kind(mode & 0xF000).ok_or_else(damaged)?;
        let mut block_area = [0; 60];
        block_area.copy_from_slice(&raw[0x28..0x64]);
        let links = get16(&raw, 0x1A);
        if links == 0 {
            return Err(damaged());
        }
        let size = u64::from(get32(&raw, 0x04)) | u64::from(get32(&raw, 0x6C)) << 32;
        let meta = Meta {
            mode: mode & 0o7777,
            uid: get_split32(&raw, 0x02, 0x78),
            gid: get_split32(&raw, 0x18, 0x7A),
            mtime: mtime(&raw),
            xattrs: attributes::read(&self.file, &self.tables, number, &raw)?,
        };
        Ok(Node {
            number,
            kind,
            meta,
            size: if has_content(kind) { size } else { 0 },
            links,
            device: device(&block_area),
            flags: get32(&raw, 0x20),
            block_area,
        })
    }

    /// The names in a directory, in the order in which they are stored.
    ///
    /// # Errors
    /// When it cannot be read or contradicts itself.
    pub fn entries(&self, directory: &Node) -> Result<Vec<Name>, Error> {
        entries::read(&self.file, &self.tables, directory)
    }

    /// Where a regular file has content; all else of it is holes.
    ///
    /// # Errors
    /// When its map cannot be read or contradicts itself.
    pub fn segments(&self, node: &Node) -> Result<Vec<Segment>, Error> {
        let mut segments: Vec<Segment> = Vec::new();
        for Mapped { logical, blocks, .. } in map::read(&self.file, &self.tables, node)? {
            let offset = u64::from(logical) * self.tables.block;
            let len = (u64::from(blocks) * self.tables.block).min(node.size.saturating_sub(offset));
            match segments.last_mut() {
                Some(last) if last.offset + last.len == offset => last.len += len,
                _ if len > 0 => segments.push(Segment { offset, len }),
                _ => {}
            }
        }
        Ok(segments)
    }

    /// The bytes of a regular file's [segments](Self::segments), one after the other.
    ///
    /// # Errors
    /// When its map cannot be read or contradicts itself.
    pub fn content(&self, node: &Node) -> Result<Content<'_>, Error> {
        Content::new(&self.file, &self.tables, node)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn link_target(&self, node: &Node) -> Result<Vec<u8>, Error> {
        let damaged = Error::DamagedInode { number: node.number };
        let len = match usize::try_from(node.size) {
            Ok(len @ 1..=4095) if node.kind == Kind::Symlink => len,
            _ => return Err(damaged),
        };
        // Short ones stand where others have their map (the kernel's `ext4/dynamic.rst`, "Symbolic Links").
        if len < node.block_area.len() && node.flags & USES_EXTENTS == 0 {
            return Ok(node.block_area[..len].to_vec());
        }
        let mut target = Vec::with_capacity(len);
        let mut content = self.content(node)?;
        match std::io::Read::read_to_end(&mut content, &mut target) {
            Ok(read) if read == len => Ok(target),
            _ => Err(damaged),
        }
    }
}

fn kind(file_type: u16) -> Option<Kind> {
    Some(match file_type {
        file_type::DIRECTORY => Kind::Directory,
        file_type::FILE => Kind::File,
        file_type::SYMLINK => Kind::Symlink,
        file_type::CHAR => Kind::Device(DeviceKind::Char),
        file_type::BLOCK => Kind::Device(DeviceKind::Block),
        file_type::FIFO => Kind::Fifo,
        file_type::SOCKET => Kind::Socket,
        _ => return None,
    })
}

fn has_content(kind: Kind) -> bool {
    matches!(kind, Kind::Directory | Kind::File | Kind::Symlink)
}

/// The modification time; inodes of 128 bytes have whole seconds only.
fn mtime(raw: &[u8]) -> Timestamp {
    let seconds = i64::from(get32(raw, 0x10) as i32);
    let has_extra = raw.len() > 128 && 128 + usize::from(get16(raw, 0x80)) >= 0x8C;
    let extra = if has_extra { get32(raw, 0x88) } else { 0 };
    Timestamp {
        secs: seconds + (i64::from(extra & 3) << 32),
        nanos: (extra >> 2).min(999_999_999),
    }
}

/// The numbers in a device's block area, in the old form or the new.
fn device(area: &[u8; 60]) -> (u32, u32) {
    let (old, new) = (get32(area, 0), get32(area, 4));
    match old {
        0 => (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xF_FF00),
        old => (old >> 8 & 0xFF, old & 0xFF),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inode::device_area;

    #[test]
    fn device_numbers_come_back() {
        for number in [
            (1, 3),
            (0, 0),
            (255, 255),
            (259, 0x12345),
            (4095, 0xF_FFFF),
            (8, 256),
        ] {
            assert_eq!(device(&device_area(number.0, number.1)), number);
        }
    }
}
