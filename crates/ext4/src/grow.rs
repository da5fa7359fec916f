//! Growing a blank disk, used or not, while nothing has it mounted.

use std::fs::File;

use crate::Error;
use crate::checksum::Seed;
use crate::disk_layout::{self, NewGroups};
use crate::group::{BLOCK_UNINIT, Bitmap, Descriptor};
use crate::image_file::{clear_blocks, length, read_at, set_length, sync, write_at};
use crate::layout::{BLOCK, BLOCK_BYTES, Geometry, INODES_PER_BLOCK, MAX_GROUP_INODES};
use crate::superblock::Superblock;

/// Grows a file system made by [`blank_disk`](crate::blank_disk), and its file, to `new_size` bytes; to its own size
/// is allowed and changes nothing.
///
/// The file system must be unmounted and clean; nothing is ever moved or shrunk. All that is new is on stable storage
/// before the file system refers to it.
///
/// # Errors
/// If it is not ext4, not clean, not laid out by this crate, larger than `new_size`, or if reading or writing fails.
pub fn grow(file: &File, new_size: u64) -> Result<(), Error> {
    let mut superblock = Superblock::read(file)?;
    check_ours(&superblock)?;
    if let Some(reason) = superblock.fault() {
        return Err(Error::Dirty { reason });
    }
    let old = superblock.geometry();
    let current = old.blocks * BLOCK_BYTES;
    if new_size < current {
        return Err(Error::WouldShrink {
            current,
            wanted: new_size,
        });
    }
    let new = disk_layout::divide(new_size, old.groups(), old.inodes_per_group)?;
    let seed = superblock.seed();
    let mut descriptors = disk_layout::read_descriptors(file, old, seed)?;
    let len = length(file)?;
    if len < new_size {
        set_length(file, new_size)?;
    }
    if new.blocks <= old.blocks {
        return Ok(());
    }
    // What follows the old end is taken for zeros, but a guest can write there.
    let strayed = len.div_ceil(BLOCK_BYTES).min(new.blocks);
    if strayed > old.blocks {
        clear_blocks(file, old.blocks, strayed - old.blocks)?;
    }
    let mut groups = NewGroups::new(old.groups(), new);
    groups.write_bitmaps(file, seed)?;
    sync(file)?;

    extend_last_group(file, &mut descriptors, old, new, seed)?;
    descriptors.append(&mut groups.descriptors);
    superblock.set_geometry(new);
    superblock.set_free(
        descriptors
            .iter()
            .map(|descriptor| u64::from(descriptor.free_blocks))
            .sum(),
        descriptors.iter().map(|descriptor| descriptor.free_inodes).sum(),
    );
    superblock.forget_overhead();
    disk_layout::write_descriptors(file, old.groups() - 1, &descriptors, seed)?;
    disk_layout::write_superblocks(file, &superblock)?;
    sync(file)
}

/// Refuses what this crate would not have written.
fn check_ours(superblock: &Superblock) -> Result<(), Error> {
    let (compatible, incompatible, read_only_compatible) = superblock.features();
    let ours = disk_layout::FEATURES;
    // A journal in use adds a feature for as long as it is.
    let incompatible = incompatible & !crate::superblock::feature::RECOVER;
    let inodes = superblock.geometry().inodes_per_group;
    let reason = if (compatible, incompatible, read_only_compatible) != ours {
        "it has other features"
    } else if !superblock.has_our_sizes()
        || inodes == 0
        || inodes > MAX_GROUP_INODES
        || !inodes.is_multiple_of(INODES_PER_BLOCK)
    {
        "its blocks, groups or inodes have other sizes"
    } else {
        return Ok(());
    };
    Err(Error::Foreign { reason })
}

/// Frees the blocks that the last old group gains.
fn extend_last_group(
    file: &File,
    descriptors: &mut [Descriptor],
    old: Geometry,
    new: Geometry,
    seed: Seed,
) -> Result<(), Error> {
    let last = old.groups() - 1;
    let (before, after) = (old.group_blocks(last), new.group_blocks(last));
    let descriptor = &mut descriptors[last as usize];
    descriptor.free_blocks += (after - before) as u32;
    if before == after || descriptor.flags & BLOCK_UNINIT != 0 {
        return Ok(());
    }
    let damaged = Error::Damaged {
        structure: "last block bitmap",
    };
    let mut block = [0; BLOCK];
    let place = descriptor.block_bitmap * BLOCK_BYTES;
    if !read_at(file, &mut block, place)? {
        return Err(damaged);
    }
    let mut bitmap = Bitmap::from_block(&block);
    if bitmap.block_checksum(seed) != descriptor.block_bitmap_checksum {
        return Err(damaged);
    }
    bitmap.clear(before..after);
    descriptor.block_bitmap_checksum = bitmap.block_checksum(seed);
    write_at(file, bitmap.bytes(), place)
}
