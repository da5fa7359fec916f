//! Finishing an image: everything that can only be written when the tree is complete.
//!
//! First the blocks that belong to inodes (directories, long link targets, attributes, extent trees), inode by inode;
//! then bitmaps and inode tables, all together after them; last the descriptors and the superblock at the front.

use std::collections::BTreeMap;

use crate::alloc::Allocator;
use crate::checksum::Seed;
use crate::dirs::{self, DirEntry, entry_type};
use crate::extents::{self, Extent};
use crate::group_tables;
use crate::inode::{self, Inode, file_type};
use crate::layout::{BLOCK, FIRST_INODE, INODE_BYTES, MAX_LINKS, ROOT_INODE};
use crate::name_hash::NameHasher;
use crate::sink::BlockSink;
use crate::tree::{Attributes, Body, Node, NodeId, Tree};
use crate::{DeviceKind, Error, Options, Summary};

/// Links of a directory that has too many subdirectories to count.
const UNCOUNTED_LINKS: u16 = 1;

/// Writes what is missing and gives the file its length.
pub(crate) fn finish(
    mut tree: Tree,
    allocator: Allocator,
    sink: BlockSink,
    options: &Options,
) -> Result<Summary, Error> {
    add_lost_and_found(&mut tree);
    let inodes = tree.len() as u64 - 1;
    if inodes + u64::from(FIRST_INODE) > u64::from(u32::MAX) {
        return Err(Error::TooManyInodes { inodes });
    }
    let plan = Numbering::of(&tree);
    let summary = Summary {
        bytes: 0,
        blocks: 0,
        free_blocks: 0,
        data_blocks: 0,
        inodes: 0,
        files: 0,
        directories: 0,
        symlinks: 0,
        specials: 0,
    };
    let mut placement = Placement {
        allocator,
        sink,
        seed: Seed::of_uuid(&options.uuid),
        hasher: NameHasher::new(&options.hash_seed),
        plan,
        table: Vec::new(),
        is_directory: Vec::new(),
        summary,
    };
    placement.place_all(&mut tree)?;
    drop(tree);
    let Placement {
        allocator,
        sink,
        table,
        is_directory,
        mut summary,
        ..
    } = placement;
    summary.inodes = summary.files + summary.directories + summary.symlinks + summary.specials;
    group_tables::write(
        group_tables::Contents {
            allocator,
            sink,
            table,
            is_directory,
        },
        options,
        summary,
    )
}

/// e2fsck wants this directory; where the tree has something of that name, that stays.
fn add_lost_and_found(tree: &mut Tree) {
    const NAME: &[u8] = b"lost+found";
    if tree
        .children(NodeId::ROOT)
        .is_some_and(|children| !children.contains_key(NAME))
    {
        let attributes = Attributes {
            mtime: tree.node(NodeId::ROOT).attributes.mtime,
            ..Attributes::plain(0o700)
        };
        let id = tree.add(attributes, Body::Directory(BTreeMap::new()));
        tree.link(NodeId::ROOT, NAME, id);
    }
}

/// Which inode each node becomes. Numbers follow the sorted names, depth first, so they do not depend on the order
/// in which entries came.
struct Numbering {
    /// By the node's index; 0 where there is none.
    numbers: Vec<u32>,
    /// By the node's index, for directories: the inode above.
    parents: Vec<u32>,
    /// The nodes from inode [`FIRST_INODE`] on.
    order: Vec<NodeId>,
}

impl Numbering {
    fn of(tree: &Tree) -> Self {
        let mut plan = Self {
            numbers: vec![0; tree.places()],
            parents: vec![0; tree.places()],
            order: Vec::new(),
        };
        plan.numbers[NodeId::ROOT.index()] = ROOT_INODE;
        plan.parents[NodeId::ROOT.index()] = ROOT_INODE;
        let lost_and_found = tree
            .children(NodeId::ROOT)
            .and_then(|children| children.get(&b"lost+found"[..]));
        if let Some(&id) = lost_and_found {
            plan.number(id);
        }
        let mut waiting = vec![NodeId::ROOT];
        while let Some(directory) = waiting.pop() {
            let own = plan.numbers[directory.index()];
            let first_child = waiting.len();
            for &child in tree.children(directory).into_iter().flat_map(BTreeMap::values) {
                plan.number(child);
                if tree.children(child).is_some() {
                    plan.parents[child.index()] = own;
                    waiting.push(child);
                }
            }
            waiting[first_child..].reverse();
        }
        plan
    }

    fn number(&mut self, id: NodeId) {
        let number = &mut self.numbers[id.index()];
        if *number == 0 {
            *number = FIRST_INODE + self.order.len() as u32;
            self.order.push(id);
        }
    }
}

/// What an inode's body comes to.
struct Placed {
    mode: u16,
    links: u16,
    size: u64,
    flags: u32,
    block_area: [u8; 60],
    blocks: u64,
}

/// Gives every inode its blocks and collects the inode table.
struct Placement {
    allocator: Allocator,
    sink: BlockSink,
    seed: Seed,
    hasher: NameHasher,
    plan: Numbering,
    /// The used part of all inode tables together.
    table: Vec<u8>,
    /// By inode number less 1.
    is_directory: Vec<bool>,
    summary: Summary,
}

impl Placement {
    fn place_all(&mut self, tree: &mut Tree) -> Result<(), Error> {
        let count = FIRST_INODE as usize - 1 + self.plan.order.len();
        self.table = vec![0; count * INODE_BYTES];
        self.is_directory = vec![false; count];
        // What a directory's entry says about its inode is needed after the inode itself was consumed.
        let mut kinds = vec![0; tree.places()];
        for &id in self.plan.order.iter().chain([&NodeId::ROOT]) {
            kinds[id.index()] = kind_of(&tree.node(id).body);
        }
        let order = std::mem::take(&mut self.plan.order);
        self.place(tree.consume(NodeId::ROOT), NodeId::ROOT, &kinds)?;
        for id in order {
            self.place(tree.consume(id), id, &kinds)?;
        }
        Ok(())
    }

    fn place(&mut self, node: Node, id: NodeId, kinds: &[u8]) -> Result<(), Error> {
        let number = self.plan.numbers[id.index()];
        let mut placed = self.place_body(&node, id, number, kinds)?;
        let Attributes {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        } = node.attributes;
        let xattrs = xattrs.unwrap_or_default();
        let xattr_block = if xattrs.needs_block() {
            placed.blocks += 1;
            let place = self.allocator.take(1)?;
            self.sink
                .put(place, xattrs.encode_block(self.seed, place).as_slice())?;
            place
        } else {
            0
        };
        let inode = Inode {
            mode: placed.mode | mode,
            uid,
            gid,
            time: mtime,
            links: placed.links,
            size: placed.size,
            blocks: placed.blocks,
            flags: placed.flags,
            block_area: placed.block_area,
            xattr_block,
            xattrs: &xattrs.in_inode,
        };
        let index = number as usize - 1;
        self.is_directory[index] = placed.mode == file_type::DIRECTORY;
        self.table[index * INODE_BYTES..][..INODE_BYTES].copy_from_slice(&inode.encode(self.seed, number));
        Ok(())
    }

    fn place_body(&mut self, node: &Node, id: NodeId, number: u32, kinds: &[u8]) -> Result<Placed, Error> {
        let links = node.links as u16;
        match &node.body {
            Body::Directory(children) => {
                self.summary.directories += 1;
                self.place_directory(children, id, number, kinds)
            }
            Body::File { size, extents } => {
                self.summary.files += 1;
                let placed = self.place_mapped(extents, *size, number, file_type::FILE, links)?;
                self.summary.data_blocks +=
                    extents.iter().map(|extent| u64::from(extent.blocks)).sum::<u64>();
                Ok(placed)
            }
            Body::Symlink(target) => {
                self.summary.symlinks += 1;
                self.place_symlink(target, number, links)
            }
            Body::Device { kind, major, minor } => {
                let mode = match kind {
                    DeviceKind::Char => file_type::CHAR,
                    DeviceKind::Block => file_type::BLOCK,
                };
                Ok(self.special(mode, links, inode::device_area(*major, *minor)))
            }
            Body::Fifo => Ok(self.special(file_type::FIFO, links, [0; 60])),
            Body::Socket => Ok(self.special(file_type::SOCKET, links, [0; 60])),
        }
    }

    fn special(&mut self, mode: u16, links: u16, block_area: [u8; 60]) -> Placed {
        self.summary.specials += 1;
        Placed {
            mode,
            links,
            size: 0,
            flags: 0,
            block_area,
            blocks: 0,
        }
    }

    fn place_directory(
        &mut self,
        children: &BTreeMap<Box<[u8]>, NodeId>,
        id: NodeId,
        number: u32,
        kinds: &[u8],
    ) -> Result<Placed, Error> {
        let entries: Vec<DirEntry<'_>> = children
            .iter()
            .map(|(name, child)| DirEntry {
                name,
                inode: self.plan.numbers[child.index()],
                kind: kinds[child.index()],
            })
            .collect();
        let subdirectories = entries
            .iter()
            .filter(|entry| entry.kind == entry_type::DIRECTORY)
            .count() as u32;
        let parent = self.plan.parents[id.index()];
        let encoded = dirs::encode(number, parent, &entries, self.seed.of_inode(number), self.hasher);
        let extents = self.put_content(&encoded.bytes)?;
        let links = if 2 + subdirectories <= MAX_LINKS {
            2 + subdirectories as u16
        } else {
            UNCOUNTED_LINKS
        };
        let size = encoded.bytes.len() as u64;
        let mut placed = self.place_mapped(&extents, size, number, file_type::DIRECTORY, links)?;
        placed.flags |= if encoded.indexed { inode::HAS_INDEX } else { 0 };
        Ok(placed)
    }

    /// A target of up to 59 bytes stands in the inode, a longer one in a block.
    fn place_symlink(&mut self, target: &[u8], number: u32, links: u16) -> Result<Placed, Error> {
        let size = target.len() as u64;
        let mut block_area = [0; 60];
        if target.len() < block_area.len() {
            block_area[..target.len()].copy_from_slice(target);
            return Ok(Placed {
                mode: file_type::SYMLINK,
                links,
                size,
                flags: 0,
                block_area,
                blocks: 0,
            });
        }
        let mut block = [0; BLOCK];
        block[..target.len()].copy_from_slice(target);
        let extents = self.put_content(&block)?;
        self.place_mapped(&extents, size, number, file_type::SYMLINK, links)
    }

    /// Writes whole blocks of content to consecutive places.
    fn put_content(&mut self, bytes: &[u8]) -> Result<[Extent; 1], Error> {
        let blocks = (bytes.len() / BLOCK) as u32;
        let physical = self.allocator.take(blocks.into())?;
        self.sink.put(physical, bytes)?;
        Ok([Extent {
            logical: 0,
            physical,
            blocks,
        }])
    }

    /// Maps content that is in place.
    fn place_mapped(
        &mut self,
        extents: &[Extent],
        size: u64,
        number: u32,
        mode: u16,
        links: u16,
    ) -> Result<Placed, Error> {
        let map = extents::encode(extents, self.seed.of_inode(number), || self.allocator.take(1))?;
        for block in &map.blocks {
            self.sink.put(block.place, block.bytes.as_slice())?;
        }
        let content: u64 = extents.iter().map(|extent| u64::from(extent.blocks)).sum();
        let blocks = content + map.blocks.len() as u64;
        Ok(Placed {
            mode,
            links,
            size,
            flags: inode::USES_EXTENTS,
            block_area: map.root,
            blocks,
        })
    }
}

fn kind_of(body: &Body) -> u8 {
    match body {
        Body::Directory(_) => entry_type::DIRECTORY,
        Body::File { .. } => entry_type::FILE,
        Body::Symlink(_) => entry_type::SYMLINK,
        Body::Device {
            kind: DeviceKind::Char,
            ..
        } => entry_type::CHAR,
        Body::Device {
            kind: DeviceKind::Block,
            ..
        } => entry_type::BLOCK,
        Body::Fifo => entry_type::FIFO,
        Body::Socket => entry_type::SOCKET,
    }
}
