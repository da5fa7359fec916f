//! The tree of entries, in memory until the image is finished.

use std::collections::BTreeMap;

use crate::extents::Extent;
use crate::path::Components;
use crate::xattr::StoredXattrs;
use crate::{DeviceKind, Error, Kind, Meta, Timestamp};

/// An inode's place in the tree; not its number in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);

    /// For tables with a place for each node.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// [`Meta`] with its attributes in their stored form.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    /// Rare, hence apart.
    pub(crate) xattrs: Option<Box<StoredXattrs>>,
}

impl Attributes {
    pub(crate) fn new(meta: &Meta, path: &[u8]) -> Result<Self, Error> {
        let xattrs = match meta.xattrs.as_slice() {
            [] => None,
            some => Some(Box::new(StoredXattrs::new(some, path)?)),
        };
        Ok(Self {
            mode: meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            xattrs,
        })
    }

    /// Owned by root and from 1970: what directories get that nobody described.
    pub(crate) fn plain(mode: u16) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: None,
        }
    }
}

/// What an inode is.
#[derive(Debug)]
pub(crate) enum Body {
    Directory(BTreeMap<Box<[u8]>, NodeId>),
    File {
        size: u64,
        extents: Box<[Extent]>,
    },
    Symlink(Box<[u8]>),
    Device {
        kind: DeviceKind,
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
}

impl Body {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::File { .. } => Kind::File,
            Self::Symlink(_) => Kind::Symlink,
            Self::Device { kind, .. } => Kind::Device(*kind),
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
        }
    }
}

/// An inode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) attributes: Attributes,
    pub(crate) body: Body,
    /// Names of this inode; for a directory always 1.
    pub(crate) links: u32,
}

/// All inodes, the root first.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Option<Node>>,
    vacant: Vec<NodeId>,
}

/// What a removed subtree held in the image.
pub(crate) type Freed = Vec<Box<[Extent]>>;

impl Tree {
    pub(crate) fn new() -> Self {
        let body = Body::Directory(BTreeMap::new());
        let root = Node {
            attributes: Attributes::plain(0o755),
            body,
            links: 1,
        };
        Self {
            nodes: vec![Some(root)],
            vacant: Vec::new(),
        }
    }

    /// Number of places that [`NodeId::index`] can name.
    pub(crate) fn places(&self) -> usize {
        self.nodes.len()
    }

    /// Number of inodes, the root included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.vacant.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.index()].as_ref().expect("an id in use has a node")
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.index()].as_mut().expect("an id in use has a node")
    }

    /// Takes a node out of a tree that is being written; names of it stay where they are.
    pub(crate) fn consume(&mut self, id: NodeId) -> Node {
        self.nodes[id.index()].take().expect("a node is consumed once")
    }

    /// A new inode that no name leads to yet.
    pub(crate) fn add(&mut self, attributes: Attributes, body: Body) -> NodeId {
        let node = Some(Node {
            attributes,
            body,
            links: 0,
        });
        if let Some(id) = self.vacant.pop() {
            self.nodes[id.index()] = node;
            return id;
        }
        self.nodes.push(node);
        NodeId((self.nodes.len() - 1) as u32)
    }

    pub(crate) fn children(&self, id: NodeId) -> Option<&BTreeMap<Box<[u8]>, NodeId>> {
        match &self.node(id).body {
            Body::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn children_mut(&mut self, id: NodeId) -> Option<&mut BTreeMap<Box<[u8]>, NodeId>> {
        match &mut self.node_mut(id).body {
            Body::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// The inode at a path; symbolic links are not followed.
    pub(crate) fn find(&self, path: &Components<'_>) -> Option<NodeId> {
        path.names()
            .try_fold(NodeId::ROOT, |id, name| self.children(id)?.get(name).copied())
    }

    /// The directory that holds the path's last name; it and its parents are made if they are missing.
    pub(crate) fn parent_of(&mut self, path: &Components<'_>) -> Result<NodeId, Error> {
        let not_directory = || Error::ParentNotDirectory {
            path: path.raw().to_vec(),
        };
        let mut id = NodeId::ROOT;
        for name in path.parents() {
            id = match self.children(id).ok_or_else(not_directory)?.get(name) {
                Some(&child) => child,
                None => {
                    let child = self.add(Attributes::plain(0o755), Body::Directory(BTreeMap::new()));
                    self.link(id, name, child);
                    child
                }
            };
        }
        self.children(id).ok_or_else(not_directory)?;
        Ok(id)
    }

    /// Gives `child` a name in a directory; what had that name is removed.
    pub(crate) fn link(&mut self, parent: NodeId, name: &[u8], child: NodeId) -> Freed {
        self.node_mut(child).links += 1;
        let children = self.children_mut(parent).expect("a parent is a directory");
        match children.insert(name.into(), child) {
            Some(replaced) => self.unlink(replaced),
            None => Freed::new(),
        }
    }

    /// Takes a name away, with all below it.
    pub(crate) fn remove(&mut self, parent: NodeId, name: &[u8]) -> Option<Freed> {
        let removed = self.children_mut(parent)?.remove(name)?;
        Some(self.unlink(removed))
    }

    /// One name of `id` is gone; inodes without names go too.
    fn unlink(&mut self, id: NodeId) -> Freed {
        let mut freed = Freed::new();
        let mut unnamed = vec![id];
        while let Some(id) = unnamed.pop() {
            let node = self.node_mut(id);
            node.links -= 1;
            if node.links > 0 {
                continue;
            }
            let node = self.consume(id);
            self.vacant.push(id);
            match node.body {
                Body::Directory(children) => unnamed.extend(children.into_values()),
                Body::File { extents, .. } => freed.push(extents),
                _ => {}
            }
        }
        freed
    }
}
