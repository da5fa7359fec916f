//! The attributes of a file that file systems and archives have in common: owner, mode, time, extended attributes, kind, and the parts
//! that hold data. This crate has types only, so that a tar can be read without an ext4 image, and an ext4 image without a tar.

/// What every inode carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: 0o7777 at most, other bits are ignored.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time; access, change and creation times are set to the same, so that images are reproducible.
    pub mtime: Timestamp,
    /// Extended attributes; a repeated name counts once, with its last value.
    pub xattrs: Vec<Xattr>,
}

impl Meta {
    /// Owned by root, without attributes.
    pub fn new(mode: u16, mtime: Timestamp) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Vec::new(),
        }
    }
}

/// A time since 1970-01-01 00:00 UTC. ext4 holds 1901-12-13 to 2446-05-10; what lies outside is clamped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub secs: i64,
    /// Nanoseconds after `secs`, below 1,000,000,000.
    pub nanos: u32,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// The full name with its namespace, such as `security.capability`.
    pub name: Vec<u8>,
    /// The value as `getxattr` gives it.
    pub value: Vec<u8>,
}

/// A part of a sparse file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// The two kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device node.
    Device(DeviceKind),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}
