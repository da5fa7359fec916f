//! What can go wrong while writing, reading or growing a file system image.

use std::io;

/// A refusal or failure of this crate. Paths and names are bytes; they are shown with escapes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An inode, or what belongs to it, contradicts itself.
    #[error("inode {number} of the file system is damaged")]
    DamagedInode {
        /// Its number.
        number: u32,
    },
    /// The path is not a plain relative path of names of 1 to 255 bytes.
    #[error("invalid path `{}`: {fault}", path.escape_ascii())]
    InvalidPath {
        /// The path as given.
        path: Vec<u8>,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// A component above the last one exists and is not a directory.
    #[error("`{}` lies below something that is not a directory", path.escape_ascii())]
    ParentNotDirectory {
        /// The path as given.
        path: Vec<u8>,
    },
    /// The root is a directory and stays one, under this one name.
    #[error("the root directory cannot be removed, replaced or linked")]
    Root,
    /// The data reader failed.
    #[error("cannot read the content of `{}`", path.escape_ascii())]
    ReadContent {
        /// The file whose content was read.
        path: Vec<u8>,
        /// Why.
        source: io::Error,
    },
    /// The data ended before the announced size.
    #[error("the content of `{}` ended after {got} of {expected} bytes", path.escape_ascii())]
    Truncated {
        /// The file whose content was read.
        path: Vec<u8>,
        /// Bytes that were announced.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The segments of a sparse file overlap, are out of order or lie outside the file.
    #[error("segment {index} of the sparse file `{}` overlaps, is out of order or out of range", path.escape_ascii())]
    InvalidSegment {
        /// The file.
        path: Vec<u8>,
        /// Which segment, from 0.
        index: usize,
    },
    /// A file is larger than ext4 can map (16 TiB with 4 KiB blocks).
    #[error("`{}` has {size} bytes, more than ext4 can hold in one file", path.escape_ascii())]
    FileTooLarge {
        /// The file.
        path: Vec<u8>,
        /// Its size.
        size: u64,
    },
    /// A symbolic link's target is empty, longer than 4095 bytes or contains NUL.
    #[error("the target of the symbolic link `{}` has {len} bytes or a NUL; 1 to 4095 are possible", path.escape_ascii())]
    InvalidTarget {
        /// The link.
        path: Vec<u8>,
        /// The target's length.
        len: usize,
    },
    /// A hard link names something that is not there.
    #[error("`{}` is a hard link to `{}`, which does not exist", path.escape_ascii(), existing.escape_ascii())]
    MissingLinkTarget {
        /// The link.
        path: Vec<u8>,
        /// What it should link to.
        existing: Vec<u8>,
    },
    /// A hard link names a directory.
    #[error("`{}` is a hard link to `{}`, which is a directory", path.escape_ascii(), existing.escape_ascii())]
    LinkToDirectory {
        /// The link.
        path: Vec<u8>,
        /// What it should link to.
        existing: Vec<u8>,
    },
    /// An inode has the most links that ext4 can count (65000).
    #[error("`{}` exceeds the limit of hard links to `{}`", path.escape_ascii(), existing.escape_ascii())]
    TooManyLinks {
        /// The link.
        path: Vec<u8>,
        /// What it should link to.
        existing: Vec<u8>,
    },
    /// A device number does not fit into ext4's inode (12 bits of major, 20 bits of minor).
    #[error("the device `{}` has the number {major}:{minor}, which ext4 cannot hold", path.escape_ascii())]
    InvalidDevice {
        /// The device node.
        path: Vec<u8>,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// An extended attribute's name is outside the namespaces that ext4 stores, or too long.
    #[error("ext4 cannot store the extended attribute `{}` of `{}`", name.escape_ascii(), path.escape_ascii())]
    InvalidXattrName {
        /// The inode's path.
        path: Vec<u8>,
        /// The attribute's full name.
        name: Vec<u8>,
    },
    /// A POSIX ACL attribute does not hold a version 2 access control list.
    #[error("the attribute `{}` of `{}` is not a valid access control list", name.escape_ascii(), path.escape_ascii())]
    InvalidAcl {
        /// The inode's path.
        path: Vec<u8>,
        /// The attribute's full name.
        name: Vec<u8>,
    },
    /// The extended attributes fit neither into the inode nor into one block.
    #[error("the extended attributes of `{}` do not fit into one block of 4096 bytes", path.escape_ascii())]
    XattrsTooLarge {
        /// The inode's path.
        path: Vec<u8>,
    },
    /// The label is longer than 16 bytes or contains NUL.
    #[error("the label `{label}` is longer than 16 bytes or contains NUL")]
    InvalidLabel {
        /// The label as given.
        label: String,
    },
    /// The file given for an image already has content.
    #[error("the file for the image is not empty: it has {len} bytes")]
    NotEmpty {
        /// Its length.
        len: u64,
    },
    /// The image would outgrow `Options::max_bytes`.
    #[error("the image would be larger than its limit of {max_bytes} bytes")]
    ImageFull {
        /// The limit.
        max_bytes: u64,
    },
    /// More inodes than ext4 can number, or than this image has groups for.
    #[error("the image has too many entries: {inodes}")]
    TooManyInodes {
        /// How many.
        inodes: u64,
    },
    /// A size is outside what this crate writes.
    #[error("invalid disk size of {size} bytes: expected {min} to {max} bytes")]
    InvalidSize {
        /// The size asked for.
        size: u64,
        /// The smallest size possible.
        min: u64,
        /// The largest size possible.
        max: u64,
    },
    /// Growing was asked to shrink.
    #[error("cannot shrink the disk from {current} to {wanted} bytes")]
    WouldShrink {
        /// The file system's size now.
        current: u64,
        /// The size asked for.
        wanted: u64,
    },
    /// There is no ext4 superblock.
    #[error("this is not an ext4 file system")]
    NotExt4,
    /// The superblock or a group descriptor does not match its checksum.
    #[error("the {structure} is damaged: its checksum is wrong")]
    Damaged {
        /// Which structure.
        structure: &'static str,
    },
    /// The file system was not cleanly unmounted, or has errors recorded.
    #[error("the file system is not clean: {reason}")]
    Dirty {
        /// In which way.
        reason: &'static str,
    },
    /// The file system was not laid out by `blank_disk`.
    #[error("the file system was not made by banger: {reason}")]
    Foreign {
        /// What differs.
        reason: &'static str,
    },
    /// The file system uses what this crate cannot read.
    #[error("the file system cannot be read here: {reason}")]
    Unreadable {
        /// What it uses.
        reason: &'static str,
    },
    /// A read from the image's file failed.
    #[error("cannot read {len} bytes at offset {offset} of the image file")]
    ReadImage {
        /// Where.
        offset: u64,
        /// How much.
        len: usize,
        /// Why.
        source: io::Error,
    },
    /// A write to the image's file failed.
    #[error("cannot write {len} bytes at offset {offset} of the image file")]
    WriteImage {
        /// Where.
        offset: u64,
        /// How much.
        len: usize,
        /// Why.
        source: io::Error,
    },
    /// Releasing unused space of the image's file failed.
    #[error("cannot release {len} bytes at offset {offset} of the image file")]
    PunchImage {
        /// Where.
        offset: u64,
        /// How much.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// The image's file could not be given its length.
    #[error("cannot set the length of the image file to {len} bytes")]
    SetLength {
        /// The length wanted.
        len: u64,
        /// Why.
        source: io::Error,
    },
    /// The image's file could not be brought to stable storage.
    #[error("cannot sync the image file")]
    SyncImage {
        /// Why.
        source: io::Error,
    },
    /// The image's file could not be asked for its length.
    #[error("cannot determine the length of the image file")]
    GetLength {
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// A component is `..`.
    #[error("a component is `..`")]
    Parent,
    /// A component is longer than 255 bytes.
    #[error("a name is longer than 255 bytes")]
    LongName,
    /// There is a NUL byte.
    #[error("the path contains a NUL byte")]
    Nul,
}

impl Error {
    /// Whether the file system that has the image's file is full, or would be.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::WriteImage { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}
