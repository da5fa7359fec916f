//! The writer's public face: entries come in, their content goes to the image at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use crate::alloc::{Allocator, Run};
use crate::content::Content;
use crate::extents::Extent;
use crate::finish;
use crate::image_file;
use crate::landing::{Places, land};
use crate::lane::{Landed, Lane, Stored, Stripes};
use crate::layout::{BLOCK, BLOCK_BYTES, Geometry, INODES_PER_BLOCK, MAX_BYTES, MAX_LINKS};
use crate::path::Components;
use crate::sink::BlockSink;
use crate::superblock::{Identity, Superblock};
use crate::tree::{Attributes, Body, Freed, NodeId, Tree};
use crate::{DeviceKind, Error, Kind, Meta, Segment};

/// How an image is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The volume label: at most 16 bytes.
    pub label: String,
    /// The file system's UUID.
    pub uuid: [u8; 16],
    /// The secret that orders the names of indexed directories.
    pub hash_seed: [u8; 16],
    /// The largest size that the image may reach, at most 16 TiB; 8 bytes in 16 KiB of it are set aside at once.
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

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            label: &self.label,
            uuid: self.uuid,
            hash_seed: self.hash_seed,
        }
    }
}

/// The largest file whose blocks all have numbers (ext4, "Dynamic Structures": the logical block of an extent has 32 bits).
fn check_size(path: &[u8], size: u64) -> Result<(), Error> {
    match size > u64::from(u32::MAX) * BLOCK_BYTES {
        true => Err(Error::FileTooLarge {
            path: path.to_vec(),
            size,
        }),
        false => Ok(()),
    }
}

/// Is called with the number of bytes before they are written to the image's file. An error prevents the write.
pub type Room = Arc<dyn Fn(u64) -> std::io::Result<()> + Send + Sync>;

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
    /// Inodes in use, lost+found included, the reserved ones not.
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
///
/// Entries may come in any order. A path that is given again replaces what was there, with all below it, as in a tar
/// archive or a stack of layers; only a directory that is given again stays and gets the new [`Meta`]. Missing parent
/// directories are made, owned by root with mode 0755. Symbolic links are never followed. After an error the writer
/// is as it was before the call, except that missing parents may have been made; only an error that says that the image
/// file could not be written ends it.
#[derive(Debug)]
pub struct ImageWriter {
    tree: Tree,
    allocator: Allocator,
    sink: BlockSink,
    options: Options,
    /// Lanes that have not come back.
    lanes: usize,
}

impl ImageWriter {
    /// Starts an image in an empty file that can be written at any offset.
    ///
    /// # Errors
    /// If the file is not empty, the label too long or the limit impossible.
    pub fn create(file: File, options: Options) -> Result<Self, Error> {
        Self::create_within(file, options, None)
    }

    /// As [`create`](Self::create), and asks `room` before anything is written.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_within(file: File, options: Options, room: Option<Room>) -> Result<Self, Error> {
        let len = image_file::length(&file)?;
        if len != 0 {
            return Err(Error::NotEmpty { len });
        }
        let size = options.max_bytes;
        let min = 64 * BLOCK_BYTES;
        if !(min..=MAX_BYTES).contains(&size) {
            return Err(Error::InvalidSize {
                size,
                min,
                max: MAX_BYTES,
            });
        }
        let largest = Geometry {
            blocks: size / BLOCK_BYTES,
            inodes_per_group: INODES_PER_BLOCK,
        };
        Superblock::new(&options.identity(), largest)?;
        let first = 1 + largest.descriptor_blocks();
        let allocator = Allocator::new(first, largest.blocks);
        Ok(Self {
            tree: Tree::new(),
            allocator,
            sink: BlockSink::new(Arc::new(file), room),
            options,
            lanes: 0,
        })
    }

    /// Adds a directory, or gives an existing one a new `meta`. The root is `""` or `"/"`.
    ///
    /// # Errors
    /// If the path or an attribute is refused.
    pub fn directory(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        let components = Components::new(path)?;
        let attributes = Attributes::new(&meta, path)?;
        match self.tree.find(&components) {
            Some(id) if self.tree.children(id).is_some() => {
                self.tree.node_mut(id).attributes = attributes;
                Ok(())
            }
            _ => self.insert(&components, attributes, Body::Directory(BTreeMap::new())),
        }
    }

    /// Adds a regular file of `size` bytes, read from `data`. Blocks of zeros become holes.
    ///
    /// # Errors
    /// If the path or an attribute is refused, `data` fails or ends early, or the image is full.
    pub fn file(&mut self, path: &[u8], meta: Meta, size: u64, data: &mut dyn Read) -> Result<(), Error> {
        self.file_segments(path, meta, size, &[Segment { offset: 0, len: size }], data)
    }

    /// Adds a sparse file of `size` bytes. `data` gives the bytes of all segments, one after the other; everything
    /// else is holes. Segments are in order, do not overlap, and need not be aligned.
    ///
    /// # Errors
    /// As [`file`](Self::file), and if the segments are not as described.
    pub fn file_segments(
        &mut self,
        path: &[u8],
        meta: Meta,
        size: u64,
        segments: &[Segment],
        data: &mut dyn Read,
    ) -> Result<(), Error> {
        let components = Components::new(path)?;
        components.last().ok_or(Error::Root)?;
        let attributes = Attributes::new(&meta, path)?;
        check_size(path, size)?;
        self.tree.parent_of(&components)?;
        let mut content = Content::new(path, size, segments, data)?;
        let extents = self.store(&mut content)?;
        self.insert(&components, attributes, Body::File { size, extents })
    }

    /// Lanes for content from several threads, which share the image's space as their weights are to each other, such
    /// as the sizes of archives. Until all have been [joined](Self::join), content comes through them alone.
    pub fn lanes(&mut self, weights: &[u64]) -> Vec<Lane> {
        debug_assert_eq!(self.lanes, 0);
        let stripes = Stripes::of(weights, self.allocator.frontier(), self.allocator.limit());
        self.lanes = stripes.len();
        stripes
            .into_iter()
            .map(|stripes| Lane::new(self.sink.beside(), stripes))
            .collect()
    }

    /// Takes over what a lane has written; from now on its content can be given to entries.
    pub fn join(&mut self, landed: &Landed) {
        for range in landed.ranges() {
            self.allocator.occupy(range);
        }
        self.lanes -= 1;
    }

    /// Adds a regular file whose content a lane of this image has stored.
    ///
    /// # Errors
    /// If the path or an attribute is refused.
    pub fn stored_file(&mut self, path: &[u8], meta: Meta, content: Stored) -> Result<(), Error> {
        let Stored { size, extents } = content;
        let places = extents.clone();
        // A hole counts: its blocks have numbers.
        check_size(path, size).inspect_err(|_| self.release(vec![places.clone()]))?;
        self.add(path, &meta, Body::File { size, extents })
            .inspect_err(|_| self.release(vec![places]))
    }

    /// Adds a symbolic link. Its target, 1 to 4095 bytes, is any bytes but NUL.
    ///
    /// # Errors
    /// If the path, the target or an attribute is refused.
    pub fn symlink(&mut self, path: &[u8], target: &[u8], meta: Meta) -> Result<(), Error> {
        if target.is_empty() || target.len() >= BLOCK || target.contains(&0) {
            return Err(Error::InvalidTarget {
                path: path.to_vec(),
                len: target.len(),
            });
        }
        self.add(path, &meta, Body::Symlink(target.into()))
    }

    /// Gives the existing entry at `existing`, which is not a directory, another name.
    ///
    /// # Errors
    /// If there is nothing at `existing`, or a directory, or an inode with 65000 names.
    pub fn hard_link(&mut self, path: &[u8], existing: &[u8]) -> Result<(), Error> {
        let components = Components::new(path)?;
        let name = components.last().ok_or(Error::Root)?;
        let wrong = |error: fn(Vec<u8>, Vec<u8>) -> Error| error(path.to_vec(), existing.to_vec());
        let id = self
            .tree
            .find(&Components::new(existing)?)
            .ok_or_else(|| wrong(|path, existing| Error::MissingLinkTarget { path, existing }))?;
        let node = self.tree.node(id);
        if node.body.kind() == Kind::Directory {
            return Err(wrong(|path, existing| Error::LinkToDirectory { path, existing }));
        }
        if self.tree.find(&components) == Some(id) {
            return Ok(());
        }
        if node.links >= MAX_LINKS {
            return Err(wrong(|path, existing| Error::TooManyLinks { path, existing }));
        }
        let parent = self.tree.parent_of(&components)?;
        let freed = self.tree.link(parent, name, id);
        self.release(freed);
        Ok(())
    }

    /// Adds a device node: a major number below 4096, a minor one below 1048576.
    ///
    /// # Errors
    /// If the path, a number or an attribute is refused.
    pub fn device(
        &mut self,
        path: &[u8],
        kind: DeviceKind,
        major: u32,
        minor: u32,
        meta: Meta,
    ) -> Result<(), Error> {
        if major >= 1 << 12 || minor >= 1 << 20 {
            return Err(Error::InvalidDevice {
                path: path.to_vec(),
                major,
                minor,
            });
        }
        self.add(path, &meta, Body::Device { kind, major, minor })
    }

    /// Adds a named pipe.
    ///
    /// # Errors
    /// If the path or an attribute is refused.
    pub fn fifo(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        self.add(path, &meta, Body::Fifo)
    }

    /// Adds a socket.
    ///
    /// # Errors
    /// If the path or an attribute is refused.
    pub fn socket(&mut self, path: &[u8], meta: Meta) -> Result<(), Error> {
        self.add(path, &meta, Body::Socket)
    }

    /// Removes an entry with all below it and tells whether there was one. Its blocks are used again or become holes.
    ///
    /// # Errors
    /// If the path is refused or is the root.
    pub fn remove(&mut self, path: &[u8]) -> Result<bool, Error> {
        let components = Components::new(path)?;
        let name = components.last().ok_or(Error::Root)?;
        let parent = components.parents().try_fold(NodeId::ROOT, |id, name| {
            self.tree
                .children(id)
                .and_then(|children| children.get(name))
                .copied()
        });
        let freed = parent.and_then(|parent| self.tree.remove(parent, name));
        let existed = freed.is_some();
        self.release(freed.unwrap_or_default());
        Ok(existed)
    }

    /// What is at a path; nothing at an invalid one.
    pub fn lookup(&self, path: &[u8]) -> Option<Kind> {
        self.find(path).map(|id| self.tree.node(id).body.kind())
    }

    /// The target of the symbolic link at a path.
    pub fn link_target(&self, path: &[u8]) -> Option<&[u8]> {
        match &self.tree.node(self.find(path)?).body {
            Body::Symlink(target) => Some(target),
            _ => None,
        }
    }

    /// Inodes so far, those of missing parents included.
    pub fn inodes(&self) -> usize {
        self.tree.len()
    }

    /// The names in the directory at a path, sorted; none if there is no directory.
    pub fn names(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let children = self.find(path).and_then(|id| self.tree.children(id));
        children
            .map(|children| children.keys().map(|name| name.to_vec()).collect())
            .unwrap_or_default()
    }

    /// Writes everything but file content. The file is not synced; keep another handle to it to do that.
    ///
    /// # Errors
    /// If the image is full, or has more entries than ext4 can number.
    pub fn finish(self) -> Result<Summary, Error> {
        debug_assert_eq!(self.lanes, 0);
        finish::finish(self.tree, self.allocator, self.sink, &self.options)
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    fn find(&self, path: &[u8]) -> Option<NodeId> {
        self.tree.find(&Components::new(path).ok()?)
    }

    fn add(&mut self, path: &[u8], meta: &Meta, body: Body) -> Result<(), Error> {
        let attributes = Attributes::new(meta, path)?;
        self.insert(&Components::new(path)?, attributes, body)
    }

    fn insert(&mut self, path: &Components<'_>, attributes: Attributes, body: Body) -> Result<(), Error> {
        let name = path.last().ok_or(Error::Root)?;
        let parent = self.tree.parent_of(path)?;
        let id = self.tree.add(attributes, body);
        let freed = self.tree.link(parent, name, id);
        self.release(freed);
        Ok(())
    }

    fn release(&mut self, freed: Freed) {
        for extent in freed.iter().flatten() {
            self.allocator
                .release(extent.physical..extent.physical + u64::from(extent.blocks));
        }
    }

    /// Copies content to the image and tells where it is. The blocks are taken only when all of it came.
    fn store(&mut self, content: &mut Content<'_>) -> Result<Box<[Extent]>, Error> {
        debug_assert_eq!(self.lanes, 0);
        let wanted = content.spans().iter().map(|(first, end)| end - first).sum();
        if wanted == 0 {
            return Ok(Box::default());
        }
        let mut open = Open {
            run: self.allocator.open(wanted),
            used: 0,
            allocator: &self.allocator,
        };
        let extents = land(content, &mut self.sink, &mut open)?;
        let Open { run, used, .. } = open;
        self.allocator.close(&run, used);
        Ok(extents)
    }
}

/// An open run, of which the first blocks are used.
struct Open<'a> {
    run: Run,
    used: u64,
    allocator: &'a Allocator,
}

impl Places for Open<'_> {
    fn next(&mut self) -> Result<(u64, u64), Error> {
        match self.run.room() - self.used {
            0 => Err(self.allocator.full()),
            room => Ok((self.run.start() + self.used, room)),
        }
    }

    fn take(&mut self, blocks: u64) {
        self.used += blocks;
    }
}
