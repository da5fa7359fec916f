//! Temporary.
use crate::{DeviceKind, Error, Kind, Meta, Segment};
use std::fs::File;
use std::io::Read;

/// How an image is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The volume label: at most 16 bytes.
    pub label: String,
    /// The file system's UUID.
    pub uuid: [u8; 16],
    /// The secret that orders the names of indexed directories.
    pub hash_seed: [u8; 16],
    /// The largest size that the image may reach; room for its group descriptors is kept at the front.
    pub max_bytes: u64,
}

impl Options {
    /// An image of at most 64 GiB whose hash seed is its UUID.
    pub fn new(label: impl Into<String>, uuid: [u8; 16]) -> Self {
        Self {
            label: label.into(),
            uuid,
            hash_seed: uuid,
            max_bytes: 64 << 30,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The image's size in bytes: the length of its file.
    pub bytes: u64,
    /// The image's size in blocks of 4096 bytes.
    pub blocks: u64,
    /// How many of them are free.
    pub free_blocks: u64,
    /// How many blocks hold file content.
    pub data_blocks: u64,
    /// Inodes in use, lost+found included, the ten reserved ones not.
    pub inodes: u64,
    /// Regular files; hard links count once.
    pub files: u64,
    /// Directories, the root and lost+found included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, pipes and sockets.
    pub specials: u64,
}

/// Writes one image.
#[derive(Debug)]
pub struct ImageWriter {
    _file: File,
}

#[allow(unused_variables, missing_docs)]
impl ImageWriter {
    pub fn create(file: File, options: Options) -> Result<Self, Error> {
        Ok(Self { _file: file })
    }
    pub fn directory(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn file(&mut self, path: &[u8], meta: Meta, size: u64, data: &mut dyn Read) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn file_segments(
        &mut self,
        path: &[u8],
        meta: Meta,
        size: u64,
        segments: &[Segment],
        data: &mut dyn Read,
    ) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn symlink(&mut self, path: &[u8], target: &[u8], meta: Meta) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn hard_link(&mut self, path: &[u8], existing: &[u8]) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn device(
        &mut self,
        path: &[u8],
        kind: DeviceKind,
        major: u32,
        minor: u32,
        meta: Meta,
    ) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn fifo(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        Err(Error::Root)
    }
    pub fn socket(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        Err(Error::Root)
    }
    /// Removes the entry and all below it; tells whether there was one.
    pub fn remove(&mut self, path: &[u8]) -> Result<bool, Error> {
        Err(Error::Root)
    }
    pub fn lookup(&self, path: &[u8]) -> Option<Kind> {
        None
    }
    /// A symbolic link's target.
    pub fn link_target(&self, path: &[u8]) -> Option<&[u8]> {
        None
    }
    /// The names in a directory, sorted; nothing if it is not a directory.
    pub fn names(&self, path: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
    pub fn finish(self) -> Result<Summary, Error> {
        Err(Error::Root)
    }
}
