//! Writes and reads ext4 file systems in ordinary files, without root and without mounting anything.
//!
//! Three things are made here:
//!
//! * *images* ([`ImageWriter`]): file trees without a journal, just as large as they need to be, meant to be mounted
//!   read-only. File content goes to its final blocks as it arrives; everything else (directories, inodes, extent
//!   trees, bitmaps, descriptors) is written when the tree is complete. Several threads may write content at once, each
//!   in a [`Lane`].
//! * *blank disks* ([`blank_disk`], [`grow`]): empty, journalled, writable file systems that take milliseconds and
//!   almost no space, because whatever may be zero is left as a hole.
//! * *answers* ([`probe`], [`ImageReader`]): what file system a file holds, and what is in it.
//!
//! The format is the one that the Linux kernel's documentation describes under `filesystems/ext4`, with 4 KiB blocks,
//! 256-byte inodes, extents, 64-bit block numbers and crc32c metadata checksums. Nothing here reads a clock or a
//! random source: the same calls give the same bytes.

mod alloc;
mod blank;
mod checksum;
mod content;
mod dirs;
mod disk_layout;
mod error;
mod extents;
mod fields;
mod finish;
mod group;
mod group_tables;
mod grow;
mod image_file;
mod inode;
mod journal;
mod landing;
mod lane;
mod layout;
mod name_hash;
mod path;
mod probe;
mod read;
mod sink;
mod superblock;
mod tree;
mod way;
mod writer;
mod xattr;

pub use banger_inode::{DeviceKind, Kind, Meta, Segment, Timestamp, Xattr};
pub use blank::blank_disk;
pub use error::{Error, PathFault};
pub use grow::grow;
pub use lane::{Landed, Lane, Stored};
pub use probe::{Info, probe};
pub use read::{Content, ImageReader, Name, Node};
pub use way::Way;
pub use writer::{ImageWriter, Options, Room, Summary};
