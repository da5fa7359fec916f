//! The last step of an image: bitmaps, inode tables, group descriptors and the superblock.
//!
//! An image has no backup superblocks (feature `sparse_super2` with none named), so that content lies without gaps.
//! All bitmaps and inode tables stand together at the end, which `flex_bg` allows.

use std::ops::Range;

use crate::alloc::Allocator;
use crate::group::{Bitmap, Descriptor, INODE_ZEROED};
use crate::image_file::{clear_blocks, set_length, write_at};
use crate::layout::{
    BLOCK, BLOCK_BYTES, DESCRIPTOR_BYTES, GROUP_BLOCKS, Geometry, INODE_BYTES, INODES_PER_BLOCK,
    MAX_GROUP_INODES,
};
use crate::sink::BlockSink;
use crate::superblock::{SUPERBLOCK_OFFSET, Superblock, feature};
use crate::{Error, Options, Summary};

/// The fewest blocks in a last group that is there only for its inodes.
const SHORTEST_GROUP: u64 = 64;

/// What the other steps have made.
pub(crate) struct Contents {
    pub(crate) allocator: Allocator,
    pub(crate) sink: BlockSink,
    /// The used part of the inode table.
    pub(crate) table: Vec<u8>,
    /// By inode number less 1.
    pub(crate) is_directory: Vec<bool>,
}

/// Writes the tables and completes `summary`.
pub(crate) fn write(contents: Contents, options: &Options, mut summary: Summary) -> Result<Summary, Error> {
    let Contents {
        mut allocator,
        mut sink,
        mut table,
        is_directory,
    } = contents;
    let inodes = is_directory.len() as u64;
    let most_blocks = options.max_bytes / BLOCK_BYTES;
    let start = allocator.frontier();
    let geometry = settle(start, inodes)
        .filter(|geometry| geometry.blocks <= most_blocks)
        .ok_or(Error::ImageFull {
            max_bytes: options.max_bytes,
        })?;
    let places = Places::new(start, geometry);
    allocator.take_above(places.end() - start)?;
    let free = free_ranges(&allocator, geometry, most_blocks);
    let mut superblock = Superblock::new(&options.identity(), geometry)?;
    let seed = superblock.seed();

    let mut descriptors = Vec::with_capacity((geometry.groups() as usize) * DESCRIPTOR_BYTES);
    let (mut free_blocks, mut free_inodes) = (0, 0);
    for group in 0..geometry.groups() {
        let blocks = block_bitmap(group, geometry, &free);
        let used = inodes_in(group, geometry, inodes);
        let inode_map = inode_bitmap(&used, geometry);
        sink.put(places.block_bitmap(group), blocks.bytes())?;
        sink.put(places.inode_bitmap(group), inode_map.bytes())?;
        let unused_inodes = geometry.inodes_per_group - (used.end - used.start) as u32;
        let descriptor = Descriptor {
            block_bitmap: places.block_bitmap(group),
            inode_bitmap: places.inode_bitmap(group),
            inode_table: places.inode_table(group),
            free_blocks: free_in(group, &free) as u32,
            free_inodes: unused_inodes,
            directories: is_directory[used.start as usize..used.end as usize]
                .iter()
                .filter(|&&is_directory| is_directory)
                .count() as u32,
            unused_inodes,
            flags: INODE_ZEROED,
            block_bitmap_checksum: blocks.block_checksum(seed),
            inode_bitmap_checksum: inode_map.inode_checksum(seed, geometry.inodes_per_group),
        };
        free_blocks += u64::from(descriptor.free_blocks);
        free_inodes += unused_inodes;
        descriptors.extend_from_slice(&descriptor.encode(seed, group));
    }
    table.resize(
        (geometry.groups() * u64::from(geometry.inodes_per_group)) as usize * INODE_BYTES,
        0,
    );
    sink.put(places.inode_table(0), &table)?;
    sink.flush()?;

    superblock.set_features(
        feature::COMPATIBLE | feature::SPARSE_SUPER2,
        feature::INCOMPATIBLE,
        feature::READ_ONLY_COMPATIBLE | feature::SPARSE_SUPER,
    );
    superblock.set_free(free_blocks, free_inodes);
    summary.blocks = geometry.blocks;
    summary.bytes = geometry.blocks * BLOCK_BYTES;
    summary.free_blocks = free_blocks;
    set_length(sink.file(), places.end() * BLOCK_BYTES)?;
    set_length(sink.file(), summary.bytes)?;
    for range in free.iter().filter(|range| range.start < places.end()) {
        clear_blocks(sink.file(), range.start, range.end - range.start)?;
    }
    descriptors.resize(descriptors.len().next_multiple_of(BLOCK), 0);
    write_at(sink.file(), &descriptors, BLOCK_BYTES)?;
    write_at(sink.file(), &superblock.sealed(0), SUPERBLOCK_OFFSET)?;
    Ok(summary)
}

/// The smallest geometry with room for tables after `start` and for so many inodes.
fn settle(start: u64, inodes: u64) -> Option<Geometry> {
    let mut groups = inodes
        .div_ceil(MAX_GROUP_INODES.into())
        .max(start.div_ceil(GROUP_BLOCKS));
    loop {
        let per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK.into());
        let tables = groups * (2 + per_group / u64::from(INODES_PER_BLOCK));
        let least = if groups > 1 {
            (groups - 1) * GROUP_BLOCKS + SHORTEST_GROUP
        } else {
            0
        };
        let geometry = Geometry {
            blocks: (start + tables).max(least),
            inodes_per_group: per_group.try_into().ok()?,
        };
        if geometry.groups() <= groups {
            u32::try_from(groups * per_group).ok()?;
            return Some(geometry);
        }
        groups = geometry.groups();
    }
}

/// Where bitmaps and inode tables are.
struct Places {
    start: u64,
    geometry: Geometry,
}

impl Places {
    fn new(start: u64, geometry: Geometry) -> Self {
        Self { start, geometry }
    }

    fn block_bitmap(&self, group: u64) -> u64 {
        self.start + 2 * group
    }

    fn inode_bitmap(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 1
    }

    fn inode_table(&self, group: u64) -> u64 {
        self.start + 2 * self.geometry.groups() + group * self.geometry.table_blocks()
    }

    fn end(&self) -> u64 {
        self.inode_table(self.geometry.groups())
    }
}

/// All free blocks of the image: descriptor blocks that a larger image would have, what was given back, and the
/// padding at the end.
fn free_ranges(allocator: &Allocator, geometry: Geometry, most_blocks: u64) -> Vec<Range<u64>> {
    let largest = Geometry {
        blocks: most_blocks,
        ..geometry
    };
    let spare = 1 + geometry.descriptor_blocks()..1 + largest.descriptor_blocks();
    let padding = allocator.frontier()..geometry.blocks;
    let ranges = [spare]
        .into_iter()
        .chain(allocator.free_ranges())
        .chain([padding]);
    ranges.filter(|range| !range.is_empty()).collect()
}

/// The part of a range that lies in a group, counted from the group's start.
fn within(group: u64, range: &Range<u64>) -> Range<u64> {
    let first = group * GROUP_BLOCKS;
    let start = range.start.clamp(first, first + GROUP_BLOCKS);
    let end = range.end.clamp(first, first + GROUP_BLOCKS);
    start - first..end - first
}

fn free_in(group: u64, free: &[Range<u64>]) -> u64 {
    free.iter()
        .map(|range| within(group, range))
        .map(|range| range.end - range.start)
        .sum()
}

fn block_bitmap(group: u64, geometry: Geometry, free: &[Range<u64>]) -> Bitmap {
    let mut bitmap = Bitmap::full();
    for range in free {
        bitmap.clear(within(group, range));
    }
    bitmap.set(geometry.group_blocks(group)..GROUP_BLOCKS);
    bitmap
}

/// The used inodes of a group, as numbers less 1.
fn inodes_in(group: u64, geometry: Geometry, inodes: u64) -> Range<u64> {
    let per_group = u64::from(geometry.inodes_per_group);
    (group * per_group).min(inodes)..((group + 1) * per_group).min(inodes)
}

fn inode_bitmap(used: &Range<u64>, geometry: Geometry) -> Bitmap {
    let mut bitmap = Bitmap::empty();
    bitmap.set(0..used.end - used.start);
    bitmap.set(geometry.inodes_per_group.into()..MAX_GROUP_INODES.into());
    bitmap
}
