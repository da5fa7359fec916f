//! What one image has that another has not.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use banger_archive::{Entry, EntryKind, shown};
use banger_ext4::Meta;
use banger_model::{Aspect, DifferenceKind};

use crate::error::ReadError;
use crate::layer::Layer;
use crate::read::{Item, LayerReader};
use crate::record::ImageRecord;
use crate::store::ImageStore;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path below the root, as bytes.
    pub path: Vec<u8>,
    /// How it differs.
    pub kind: DifferenceKind,
    /// What of it, when it changed.
    pub aspects: Vec<Aspect>,
}

impl ImageStore {
    /// What `image` has, removed or changed beside `other`, by path.
    ///
    /// # Errors
    /// When a layer of one of them cannot be read.
    pub fn diff(&self, image: &ImageRecord, other: &ImageRecord) -> Result<Vec<Difference>, ReadError> {
        let mut layers = Layers::default();
        let (new, old) = (View::of(image, &mut layers)?, View::of(other, &mut layers)?);
        let mut differences = Vec::new();
        for (path, node) in &new.paths {
            let (kind, aspects) = match old.paths.get(path) {
                None => (DifferenceKind::Added, Vec::new()),
                Some(before) if before.place == node.place => continue,
                Some(before) => match layers.aspects(before, node)? {
                    aspects if aspects.is_empty() => continue,
                    aspects => (DifferenceKind::Changed, aspects),
                },
            };
            differences.push(Difference {
                path: path.clone(),
                kind,
                aspects,
            });
        }
        let mut removed: Option<Vec<u8>> = None;
        for path in old.paths.keys().filter(|path| !new.paths.contains_key(*path)) {
            let within = removed.as_ref().is_some_and(|above| path.starts_with(above));
            if !within {
                removed = Some([path, &b"/"[..]].concat());
                differences.push(Difference {
                    path: path.clone(),
                    kind: DifferenceKind::Removed,
                    aspects: Vec::new(),
                });
            }
        }
        differences.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(differences)
    }
}

/// Where something is: a layer and an inode in it.
type Place = (usize, u32);

/// What is at a path.
struct Node {
    place: Place,
    meta: Meta,
    kind: EntryKind,
}

/// Every layer that was opened, each once.
#[derive(Default)]
struct Layers(Vec<(PathBuf, LayerReader)>);

impl Layers {
    fn open(
        &mut self,
        layer: &Layer,
        reader: impl Fn() -> Result<LayerReader, ReadError>,
    ) -> Result<usize, ReadError> {
        if let Some(known) = self.0.iter().position(|(path, _)| *path == layer.path) {
            return Ok(known);
        }
        self.0.push((layer.path.clone(), reader()?));
        Ok(self.0.len() - 1)
    }

    fn aspects(&self, before: &Node, now: &Node) -> Result<Vec<Aspect>, ReadError> {
        let sorted = |meta: &Meta| {
            let mut xattrs = meta.xattrs.clone();
            xattrs.sort_by(|one, other| one.name.cmp(&other.name));
            xattrs
        };
        let (is_kind, is_content) = match (&before.kind, &now.kind) {
            (EntryKind::File { size: one, .. }, EntryKind::File { size: other, .. }) => {
                (true, one == other && self.same_content(before, now)?)
            }
            (one, other) => {
                let same = std::mem::discriminant(one) == std::mem::discriminant(other);
                (same, !same || one == other)
            }
        };
        let (one, other) = (&before.meta, &now.meta);
        let aspects = [
            (!is_kind, Aspect::Kind),
            (!is_content, Aspect::Content),
            (one.mode != other.mode, Aspect::Mode),
            ((one.uid, one.gid) != (other.uid, other.gid), Aspect::Owner),
            (sorted(one) != sorted(other), Aspect::Attributes),
        ];
        Ok(aspects
            .into_iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, aspect)| aspect)
            .collect())
    }

    /// Whether two files of one size have the same bytes. Zeros may be a hole in one and written in the other.
    fn same_content(&self, one: &Node, other: &Node) -> Result<bool, ReadError> {
        let (mut one, mut other) = (self.bytes(one)?, self.bytes(other)?);
        let mut buffers = [vec![0; 64 << 10], vec![0; 64 << 10]];
        loop {
            let [first, second] = &mut buffers;
            let read = fill(&mut one, first)?;
            if read != fill(&mut other, second)? || first[..read] != second[..read] {
                return Ok(false);
            }
            if read == 0 {
                return Ok(true);
            }
        }
    }

    /// A file's bytes with its holes.
    fn bytes(&self, node: &Node) -> Result<impl Read + '_, ReadError> {
        let EntryKind::File { size, segments } = &node.kind else {
            unreachable!("only files are compared by their bytes")
        };
        let content = self.0[node.place.0].1.content(&node.kind, node.place.1)?;
        let mut parts: Vec<(u64, bool)> = Vec::new();
        let mut at = 0;
        for segment in segments {
            parts.extend([(segment.offset - at, false), (segment.len, true)]);
            at = segment.offset + segment.len;
        }
        parts.push((size - at, false));
        parts.reverse();
        Ok(Whole { content, parts })
    }
}

/// Content and the holes between it.
struct Whole<R> {
    content: R,
    /// Lengths, and whether each has content; the next one last.
    parts: Vec<(u64, bool)>,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((left, has_content)) = self.parts.last_mut() {
            let len = (*left).min(buffer.len() as u64) as usize;
            if len == 0 {
                self.parts.pop();
                continue;
            }
            let read = if *has_content {
                self.content.read(&mut buffer[..len])?
            } else {
                buffer[..len].fill(0);
                len
            };
            *left -= read as u64;
            return Ok(read);
        }
        Ok(0)
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ReadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(source) => return Err(ReadError::Content(source)),
        }
    }
    Ok(filled)
}

/// An image's paths, as the overlay of its layers shows them.
struct View {
    paths: BTreeMap<Vec<u8>, Node>,
}

impl View {
    fn of(image: &ImageRecord, layers: &mut Layers) -> Result<Self, ReadError> {
        let mut view = Self {
            paths: BTreeMap::new(),
        };
        for layer in &image.layers {
            let index = layers.open(layer, || LayerReader::open(layer))?;
            view.apply(index, &layers.0[index].1)?;
        }
        if let Some(seed) = &image.work_seed {
            let index = layers.open(&Layer::tree(seed.clone()), || LayerReader::seed(seed))?;
            view.apply(index, &layers.0[index].1)?;
        }
        Ok(view)
    }

    fn apply(&mut self, index: usize, layer: &LayerReader) -> Result<(), ReadError> {
        layer.walk(&mut |item| {
            match item {
                Item::Whiteout(path) => self.remove(&path, true),
                Item::Opaque(path) => self.remove(&path, false),
                Item::Entry { entry, inode } => self.put(entry, (index, inode))?,
            }
            Ok(())
        })
    }

    fn put(&mut self, entry: Entry, place: Place) -> Result<(), ReadError> {
        let Entry { name, meta, kind } = entry;
        let (meta, kind) = match &kind {
            // Names of one inode are alike.
            EntryKind::HardLink(first) => {
                let first = self
                    .paths
                    .get(first)
                    .ok_or_else(|| ReadError::NoTarget(shown(&name)))?;
                (first.meta.clone(), first.kind.clone())
            }
            _ => (meta, kind),
        };
        let stays = kind == EntryKind::Directory
            && self
                .paths
                .get(&name)
                .is_some_and(|node| node.kind == EntryKind::Directory);
        if !stays {
            self.remove(&name, true);
        }
        self.paths.insert(name, Node { place, meta, kind });
        Ok(())
    }

    /// Removes what is below a path, and if `itself`, the path.
    fn remove(&mut self, path: &[u8], itself: bool) {
        if path.is_empty() {
            self.paths.retain(|path, _| path.is_empty());
            return;
        }
        if itself {
            self.paths.remove(path);
        }
        let prefix = [path, &b"/"[..]].concat();
        let below = self.paths.range(prefix.clone()..).map(|(path, _)| path);
        let below: Vec<Vec<u8>> = below
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect();
        for path in below {
            self.paths.remove(&path);
        }
    }
}
