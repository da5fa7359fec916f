//! The numbers of the on-disk format, and where block groups lie.
//!
//! Source: the kernel's documentation, `Documentation/filesystems/ext4/` (globals, blockgroup, group_descr, inodes).

/// Bytes in a block. Everything this crate writes uses 4 KiB blocks.
pub(crate) const BLOCK: usize = 4096;
/// The same, for arithmetic on file offsets.
pub(crate) const BLOCK_BYTES: u64 = BLOCK as u64;
/// Blocks in a group: as many as one bitmap block can describe.
pub(crate) const GROUP_BLOCKS: u64 = 8 * BLOCK_BYTES;
/// The most inodes in a group, for the same reason.
pub(crate) const MAX_GROUP_INODES: u32 = 8 * BLOCK as u32;
/// Bytes of an inode.
pub(crate) const INODE_BYTES: usize = 256;
/// Bytes of an inode's fixed fields beyond the first 128; extended attributes follow them.
pub(crate) const EXTRA_INODE_BYTES: u16 = 32;
/// Inodes in one block of an inode table.
pub(crate) const INODES_PER_BLOCK: u32 = (BLOCK / INODE_BYTES) as u32;
/// Bytes of a group descriptor with 64-bit block numbers.
pub(crate) const DESCRIPTOR_BYTES: usize = 64;
/// Group descriptors in a block.
pub(crate) const DESCRIPTORS_PER_BLOCK: u64 = (BLOCK / DESCRIPTOR_BYTES) as u64;
/// Groups whose bitmaps and inode tables lie together (log2).
pub(crate) const LOG_FLEX_GROUPS: u8 = 4;

/// The root directory's inode.
pub(crate) const ROOT_INODE: u32 = 2;
/// The journal's inode.
pub(crate) const JOURNAL_INODE: u32 = 8;
/// The first inode that is not reserved; by convention lost+found.
pub(crate) const FIRST_INODE: u32 = 11;

/// The largest file system written here: 16 TiB, so that all group descriptors fit well into the first group.
pub(crate) const MAX_BYTES: u64 = 16 << 40;
/// The most links to a file; a directory with more subdirectories counts 1.
pub(crate) const MAX_LINKS: u32 = 65_000;

/// Size and division of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Blocks in the file system.
    pub(crate) blocks: u64,
    /// Inodes in each group, a multiple of [`INODES_PER_BLOCK`].
    pub(crate) inodes_per_group: u32,
}

impl Geometry {
    /// Number of groups; the last one may be short.
    pub(crate) fn groups(&self) -> u64 {
        self.blocks.div_ceil(GROUP_BLOCKS)
    }

    /// Number of blocks in this group.
    pub(crate) fn group_blocks(&self, group: u64) -> u64 {
        (self.blocks - group * GROUP_BLOCKS).min(GROUP_BLOCKS)
    }

    /// Blocks of one group's inode table.
    pub(crate) fn table_blocks(&self) -> u64 {
        u64::from(self.inodes_per_group / INODES_PER_BLOCK)
    }

    /// Blocks that hold all group descriptors.
    pub(crate) fn descriptor_blocks(&self) -> u64 {
        self.groups().div_ceil(DESCRIPTORS_PER_BLOCK)
    }
}
