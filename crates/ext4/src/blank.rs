//! Blank disks: journalled, writable, empty file systems of any size in a few milliseconds.
//!
//! Whatever may be zero stays a hole: inode tables, the journal behind its superblock, the bitmaps of groups that
//! hold nothing. The descriptors tell the kernel that the tables are zeroed, so it has nothing to do in the background.

use std::fs::File;

use crate::Error;
use crate::checksum::Seed;
use crate::dirs::{self, DirEntry, entry_type};
use crate::disk_layout::{self, INODES_PER_GROUP, NewGroups};
use crate::extents::{self, Extent};
use crate::group::{Bitmap, Descriptor, INODE_UNINIT};
use crate::image_file::{length, set_length, write_at};
use crate::inode::{Inode, USES_EXTENTS, file_type};
use crate::journal;
use crate::layout::{
    BLOCK, BLOCK_BYTES, FIRST_INODE, GROUP_BLOCKS, INODE_BYTES, INODES_PER_BLOCK, JOURNAL_INODE,
    MAX_GROUP_INODES, ROOT_INODE,
};
use crate::name_hash::NameHasher;
use crate::superblock::{Identity, Superblock};
use banger_inode::Timestamp;

/// Makes an empty ext4 file system of `size` bytes in an empty file, which becomes sparse and of that length.
///
/// The kernel mounts it read-write. It has a journal (64 MiB from 8 GiB on), an inode for 16 KiB, no blocks reserved
/// for root, and can be grown by [`grow`](crate::grow()), `resize2fs` and the kernel. The file is not synced.
///
/// # Errors
/// If the file is not empty, the size is not between 16 MiB and 16 TiB, the label is too long, or writing fails.
pub fn blank_disk(file: &File, size: u64, uuid: [u8; 16], label: &str) -> Result<(), Error> {
    let len = length(file)?;
    if len != 0 {
        return Err(Error::NotEmpty { len });
    }
    let geometry = disk_layout::divide(size, 0, INODES_PER_GROUP)?;
    let mut superblock = Superblock::new(
        &Identity {
            label,
            uuid,
            hash_seed: uuid,
        },
        geometry,
    )?;
    let seed = superblock.seed();
    let mut groups = NewGroups::new(0, geometry);
    let contents = Contents::after(&groups, journal::blocks_for(geometry.blocks));
    contents.account(&mut groups, seed);

    set_length(file, size)?;
    groups.write_bitmaps(file, seed)?;
    contents.write(file, &groups.descriptors[0], &uuid)?;
    let (compatible, incompatible, read_only_compatible) = disk_layout::FEATURES;
    superblock.set_features(compatible, incompatible, read_only_compatible);
    let journal_map = map(contents.journal(), seed.of_inode(JOURNAL_INODE))?;
    superblock.set_journal(JOURNAL_INODE, &journal_map, contents.journal_bytes());
    superblock.set_free(
        groups
            .descriptors
            .iter()
            .map(|descriptor| u64::from(descriptor.free_blocks))
            .sum(),
        groups
            .descriptors
            .iter()
            .map(|descriptor| descriptor.free_inodes)
            .sum(),
    );
    disk_layout::write_descriptors(file, 0, &groups.descriptors, seed)?;
    disk_layout::write_superblocks(file, &superblock)
}

/// The block area of an inode with one extent.
fn map(extent: Extent, seed: Seed) -> Result<[u8; 60], Error> {
    let map = extents::encode(&[extent], seed, || Ok(0))?;
    debug_assert!(map.blocks.is_empty());
    Ok(map.root)
}

/// What an empty file system contains: root, lost+found and the journal, one after the other in the first group.
struct Contents {
    /// Block of the root directory; lost+found follows, then the journal.
    root: u64,
    journal_blocks: u32,
}

impl Contents {
    /// Directly after the tables of the first groups.
    fn after(groups: &NewGroups, journal_blocks: u32) -> Self {
        let tables = groups.descriptors.iter().map(|descriptor| descriptor.inode_table);
        let last_table = tables.take_while(|&table| table < GROUP_BLOCKS).last();
        let table_blocks = u64::from(INODES_PER_GROUP / INODES_PER_BLOCK);
        let root = last_table.expect("the first group holds its own table") + table_blocks;
        Self { root, journal_blocks }
    }

    fn lost_and_found(&self) -> u64 {
        self.root + 1
    }

    fn journal(&self) -> Extent {
        Extent {
            logical: 0,
            physical: self.root + 2,
            blocks: self.journal_blocks,
        }
    }

    fn journal_bytes(&self) -> u64 {
        u64::from(self.journal_blocks) * BLOCK_BYTES
    }

    /// Takes blocks and inodes from the first group.
    fn account(&self, groups: &mut NewGroups, seed: Seed) {
        let blocks = 2 + u64::from(self.journal_blocks);
        let (group, bitmap) = &mut groups.bitmaps[0];
        debug_assert_eq!(*group, 0);
        bitmap.set(self.root..self.root + blocks);
        let first = &mut groups.descriptors[0];
        first.flags &= !INODE_UNINIT;
        first.free_blocks -= blocks as u32;
        first.free_inodes -= FIRST_INODE;
        first.unused_inodes -= FIRST_INODE;
        first.directories = 2;
        first.inode_bitmap_checksum = Self::inode_bitmap().inode_checksum(seed, INODES_PER_GROUP);
    }

    fn inode_bitmap() -> Bitmap {
        let mut bitmap = Bitmap::empty();
        bitmap.set(0..FIRST_INODE.into());
        bitmap.set(INODES_PER_GROUP.into()..MAX_GROUP_INODES.into());
        bitmap
    }

    fn write(&self, file: &File, first: &Descriptor, uuid: &[u8; 16]) -> Result<(), Error> {
        let seed = Seed::of_uuid(uuid);
        let child = [DirEntry {
            name: b"lost+found",
            inode: FIRST_INODE,
            kind: entry_type::DIRECTORY,
        }];
        for (own, place, entries) in [
            (ROOT_INODE, self.root, &child[..]),
            (FIRST_INODE, self.lost_and_found(), &[]),
        ] {
            let encoded = dirs::encode(
                own,
                ROOT_INODE,
                entries,
                seed.of_inode(own),
                NameHasher::new(uuid),
            );
            write_at(file, &encoded.bytes, place * BLOCK_BYTES)?;
        }
        write_at(
            file,
            &journal::superblock(self.journal_blocks, uuid),
            self.journal().physical * BLOCK_BYTES,
        )?;
        write_at(
            file,
            Self::inode_bitmap().bytes(),
            first.inode_bitmap * BLOCK_BYTES,
        )?;
        write_at(file, &self.inodes(seed)?, first.inode_table * BLOCK_BYTES)
    }

    /// The first block of the inode table.
    fn inodes(&self, seed: Seed) -> Result<[u8; BLOCK], Error> {
        let one_block = |physical| Extent {
            logical: 0,
            physical,
            blocks: 1,
        };
        let mut table = [0; BLOCK];
        for (number, mode, links, extent) in [
            (ROOT_INODE, file_type::DIRECTORY | 0o755, 3, one_block(self.root)),
            (JOURNAL_INODE, file_type::FILE | 0o600, 1, self.journal()),
            (
                FIRST_INODE,
                file_type::DIRECTORY | 0o700,
                2,
                one_block(self.lost_and_found()),
            ),
        ] {
            let inode = Inode {
                mode,
                uid: 0,
                gid: 0,
                time: Timestamp::default(),
                links,
                size: u64::from(extent.blocks) * BLOCK_BYTES,
                blocks: extent.blocks.into(),
                flags: USES_EXTENTS,
                block_area: map(extent, seed.of_inode(number))?,
                xattr_block: 0,
                xattrs: &[],
            };
            let at = (number as usize - 1) * INODE_BYTES;
            table[at..at + INODE_BYTES].copy_from_slice(&inode.encode(seed, number));
        }
        Ok(table)
    }
}
