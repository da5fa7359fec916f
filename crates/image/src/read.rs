//! A layer of the store, entry by entry.
//!
//! A layer is a file tree, or the disk of a VM with its changes in `upper`, as the kernel's overlayfs keeps them (its
//! documentation, `filesystems/overlayfs`, "whiteouts and opaque directories"): a device 0:0 hides what is below, and
//! attributes of `trusted.overlay` say the rest. A guest has written that disk, so nothing of it is believed unchecked.
//! What is of that guest alone (its machine id and the like, [`banger_archive::machine`]) is not the layer's.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use banger_archive::machine::{OfMachine, hosts_of_image, of_machine};
use banger_archive::{Entry, EntryKind, shown};
use banger_ext4::{DeviceKind, ImageReader, Kind, Meta, Node, Segment};
use banger_store::OfFile;

use crate::DiskError;
use crate::changes::without_overlay;
use crate::error::ReadError;
use crate::layer::{Layer, LayerKind};
use crate::metadata::Metadata;

/// The most entries of a layer.
const MOST: usize = 4_000_000;

/// Where a VM's disk has its changes.
const UPPER: &[u8] = b"upper";

const OF_OVERLAY: &[u8] = b"trusted.overlay.";

/// A hosts(5) that is longer goes along as it is.
const MOST_HOSTS: u64 = 1 << 20;

/// What of an entry a layer has.
enum Shown {
    AsItIs,
    /// The image's lines of the machine's hosts(5), which are so many bytes.
    Hosts(u64),
    Not,
}

/// A layer to read.
pub(crate) struct LayerReader {
    path: PathBuf,
    reader: ImageReader,
    kind: LayerKind,
    /// Where its root is in the image.
    prefix: Vec<u8>,
    /// The inode of a VM's hosts(5), and what of it is the image's.
    hosts: OnceLock<(u32, Vec<u8>)>,
}

/// What a layer says of a path. Parents come before what is in them, and names in their order.
#[derive(Debug)]
pub(crate) enum Item {
    /// This is there; a regular file has its content in this inode.
    Entry { entry: Entry, inode: u32 },
    /// This is not there any more.
    Whiteout(Vec<u8>),
    /// What lower layers have in this directory is not there any more.
    Opaque(Vec<u8>),
}

impl LayerReader {
    /// Opens a layer.
    pub(crate) fn open(layer: &Layer) -> Result<Self, ReadError> {
        Self::at(&layer.path, layer.kind, b"")
    }

    /// Opens a work seed, whose root is `/root` and hides what layers have there.
    pub(crate) fn seed(path: &Path) -> Result<Self, ReadError> {
        Self::at(path, LayerKind::Tree, b"root")
    }

    fn at(path: &Path, kind: LayerKind, prefix: &[u8]) -> Result<Self, ReadError> {
        let file = File::open(path).of("open", path)?;
        let reader = ImageReader::open(file).map_err(|source| ReadError::NoImage {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            kind,
            prefix: prefix.to_vec(),
            hosts: OnceLock::new(),
        })
    }

    /// The bytes of an entry that are no holes, one after the other; none of what is no regular file.
    pub(crate) fn content(&self, kind: &EntryKind, inode: u32) -> Result<Box<dyn Read + '_>, ReadError> {
        if !matches!(kind, EntryKind::File { .. }) {
            return Ok(Box::new(io::empty()));
        }
        if let Some((_, hosts)) = self.hosts.get().filter(|(of, _)| *of == inode) {
            return Ok(Box::new(&hosts[..]));
        }
        let content = self
            .reader
            .node(inode)
            .and_then(|node| self.reader.content(&node));
        let content = content.map_err(|source| self.unread(b"", source))?;
        Ok(Box::new(content))
    }

    /// Calls `each` for everything in the layer.
    pub(crate) fn walk<E: From<ReadError>>(
        &self,
        each: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(root) = self.start()? else { return Ok(()) };
        let mut walk = Walk {
            layer: self,
            names: HashMap::new(),
            directories: HashSet::new(),
            entries: 0,
            bytes_left: self.reader.bytes(),
            metadata: Metadata::default(),
        };
        let mut ahead = vec![(self.prefix.clone(), root)];
        while let Some((path, node)) = ahead.pop() {
            let below = walk.visit(path, node, each)?;
            ahead.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// The directory that is the layer's root; a disk that was never mounted has none.
    fn start(&self) -> Result<Option<Node>, ReadError> {
        let start = || {
            let root = self.reader.root()?;
            if self.kind == LayerKind::Tree {
                return Ok(Some(root));
            }
            let names = self.reader.entries(&root)?;
            let upper = names.into_iter().find(|name| name.name == UPPER);
            upper.map(|name| self.reader.node(name.inode)).transpose()
        };
        start().map_err(|source| self.unread(b"", source))
    }

    /// What of an entry of a VM's disk the layer has: what is of that one machine does not go along.
    fn shown(&self, path: &[u8], node: &Node) -> Result<Shown, ReadError> {
        // An empty file says nothing of a machine, and whoever emptied a machine id meant it (machine-id(5)).
        let is_file = node.kind == Kind::File && node.size > 0;
        let Some(how) = of_machine(path).filter(|_| is_file) else {
            return Ok(Shown::AsItIs);
        };
        match how {
            OfMachine::Whole => Ok(Shown::Not),
            OfMachine::Beginning(mark) => {
                let begins = self.beginning(path, node, mark.len() as u64)? == mark.as_bytes();
                Ok(if begins { Shown::Not } else { Shown::AsItIs })
            }
            OfMachine::Hosts if node.size > MOST_HOSTS => Ok(Shown::AsItIs),
            OfMachine::Hosts => {
                let present = self.beginning(path, node, node.size)?;
                let hosts = hosts_of_image(&present);
                // One with holes is not what the agent wrote.
                if hosts == present || present.len() as u64 != node.size {
                    return Ok(Shown::AsItIs);
                }
                let (_, hosts) = self.hosts.get_or_init(|| (node.number, hosts));
                Ok(Shown::Hosts(hosts.len() as u64))
            }
        }
    }

    fn beginning(&self, path: &[u8], node: &Node, len: u64) -> Result<Vec<u8>, ReadError> {
        let content = self
            .reader
            .content(node)
            .map_err(|source| self.unread(path, source))?;
        let mut bytes = Vec::new();
        content.take(len).read_to_end(&mut bytes).of("read", &self.path)?;
        Ok(bytes)
    }

    fn unread(&self, entry: &[u8], source: DiskError) -> ReadError {
        ReadError::Entry {
            layer: self.path.clone(),
            entry: shown(entry),
            source,
        }
    }
}

struct Walk<'a> {
    layer: &'a LayerReader,
    /// The first name of each file that has several.
    names: HashMap<u32, Vec<u8>>,
    /// Those that were visited: in a tree each has one name.
    directories: HashSet<u32>,
    entries: usize,
    /// No more content than the file system has room for.
    bytes_left: u64,
    metadata: Metadata,
}

impl Walk<'_> {
    /// Tells of one entry, and gives what is below it, by name.
    fn visit<E: From<ReadError>>(
        &mut self,
        path: Vec<u8>,
        mut node: Node,
        each: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<Vec<(Vec<u8>, Node)>, E> {
        self.entries += 1;
        if self.entries > MOST {
            return Err(ReadError::TooMany(MOST).into());
        }
        let is_disk = self.layer.kind == LayerKind::Disk;
        if is_disk && node.kind == Kind::Device(DeviceKind::Char) && node.device == (0, 0) {
            each(Item::Whiteout(path))?;
            return Ok(Vec::new());
        }
        let mut hosts = None;
        if is_disk {
            match self.layer.shown(&path, &node)? {
                Shown::AsItIs => {}
                Shown::Hosts(len) => hosts = Some(len),
                Shown::Not => return Ok(Vec::new()),
            }
        }
        let hides = is_disk && self.take_marks(&path, &mut node.meta)?;
        let is_seed = self.entries == 1 && !path.is_empty();
        let Some(kind) = self.kind(&path, &node)? else {
            return Ok(Vec::new());
        };
        let kind = match (kind, hosts) {
            (EntryKind::File { .. }, Some(size)) => EntryKind::File {
                size,
                segments: Vec::from_iter((size > 0).then_some(Segment { offset: 0, len: size })),
            },
            (kind, _) => kind,
        };
        let (inode, is_directory) = (node.number, kind == EntryKind::Directory);
        let entry = Entry {
            name: path.clone(),
            meta: std::mem::replace(&mut node.meta, Meta::new(0, Default::default())),
            kind,
        };
        self.metadata.entry(&entry).map_err(ReadError::from)?;
        each(Item::Entry { entry, inode })?;
        if !is_directory {
            return Ok(Vec::new());
        }
        if hides || is_seed {
            each(Item::Opaque(path.clone()))?;
        }
        Ok(self.below(&path, &node)?)
    }

    /// Removes what overlayfs keeps for itself. Tells whether the directory hides what is below it.
    fn take_marks(&self, path: &[u8], meta: &mut Meta) -> Result<bool, ReadError> {
        let mut hides = false;
        for xattr in &meta.xattrs {
            match xattr.name.strip_prefix(OF_OVERLAY) {
                Some(b"opaque") => hides = xattr.value == b"y",
                // Our guests mount it without both.
                Some(b"redirect" | b"metacopy") => {
                    return Err(ReadError::Redirected {
                        layer: self.layer.path.clone(),
                        entry: shown(path),
                    });
                }
                _ => {}
            }
        }
        without_overlay(meta);
        Ok(hides)
    }

    /// What an entry is in an archive; nothing for sockets, which only their makers can listen on.
    fn kind(&mut self, path: &[u8], node: &Node) -> Result<Option<EntryKind>, ReadError> {
        let reader = &self.layer.reader;
        let unread = |source| self.layer.unread(path, source);
        if node.kind != Kind::Directory && node.links > 1 {
            if let Some(first) = self.names.get(&node.number) {
                return Ok(Some(EntryKind::HardLink(first.clone())));
            }
            self.names.insert(node.number, path.to_vec());
        }
        Ok(Some(match node.kind {
            Kind::Directory if self.directories.insert(node.number) => EntryKind::Directory,
            Kind::Directory => return Err(unread(DiskError::DamagedInode { number: node.number })),
            Kind::File => {
                let segments = reader.segments(node).map_err(unread)?;
                let bytes: u64 = segments.iter().map(|segment| segment.len).sum();
                self.bytes_left = self
                    .bytes_left
                    .checked_sub(bytes)
                    .ok_or_else(|| unread(DiskError::DamagedInode { number: node.number }))?;
                EntryKind::File {
                    size: node.size,
                    segments,
                }
            }
            Kind::Symlink => EntryKind::Symlink(reader.link_target(node).map_err(unread)?),
            Kind::Device(kind) => EntryKind::Device {
                kind,
                major: node.device.0,
                minor: node.device.1,
            },
            Kind::Fifo => EntryKind::Fifo,
            Kind::Socket => return Ok(None),
        }))
    }

    fn below(&self, path: &[u8], directory: &Node) -> Result<Vec<(Vec<u8>, Node)>, ReadError> {
        let reader = &self.layer.reader;
        let unread = |source| self.layer.unread(path, source);
        let mut names = reader.entries(directory).map_err(unread)?;
        if self.entries + names.len() > MOST {
            return Err(ReadError::TooMany(MOST));
        }
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let is_root = self.entries == 1 && self.layer.kind == LayerKind::Tree;
        let mut below = Vec::with_capacity(names.len());
        for name in names {
            let node = reader.node(name.inode).map_err(unread)?;
            // Every file system has it, and the next one gets its own.
            if is_root && name.name == b"lost+found" && node.kind == Kind::Directory {
                continue;
            }
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            below.push(([path, slash, &name.name].concat(), node));
        }
        Ok(below)
    }
}
