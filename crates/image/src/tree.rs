//! The image being written, as an importer sees it: names are checked, links on the way are followed inside the image,
//! and what is worth knowing is noted.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use banger_archive::{Entry, EntryKind, shown};
use banger_ext4::{DeviceKind, ImageWriter, Kind, Landed, Meta, Options, Room, Segment, Stored};
use banger_hostfs::Reserve;

use crate::error::EntryFault;
use crate::error::WriteError;
use crate::facts::{self, Facts};
use crate::follow::{follow, parts};

/// The most entries of an image that is not told otherwise.
pub(crate) const MOST_ENTRIES: u64 = 20_000_000;

/// The label of images, and their UUID: fixed, so that the same input gives the same bytes.
const LABEL: &str = "banger-image";
const UUID: [u8; 16] = *b"banger\x80\x01\x80image\0\x01";

/// Begins an image in an empty file.
pub(crate) fn begin(file: File) -> Result<ImageWriter, WriteError> {
    let room = room_beside(&file);
    ImageWriter::create_within(file, Options::new(LABEL, UUID), room).map_err(|source| WriteError::Image {
        what: "create",
        source,
    })
}

/// Keeps room on the file system of an image: a full one would make all VMs pause whose disks are on it.
fn room_beside(file: &File) -> Option<Room> {
    let file = file.try_clone().ok()?;
    let reserve = Mutex::new(Reserve::of(&file));
    Some(Arc::new(move |bytes| {
        let mut reserve = reserve.lock().unwrap_or_else(PoisonError::into_inner);
        reserve
            .more(&file, Path::new("the image"), bytes)
            .map_err(Into::into)
    }))
}

/// Directories that an archive may imply and not have, beside so many for each entry.
const IMPLIED: u64 = 1 << 16;
const IMPLIED_EACH: u64 = 16;

/// The image with its names.
pub(crate) struct Tree {
    writer: ImageWriter,
    os: Option<String>,
    entries: u64,
    most_entries: u64,
    /// The last parent directory that was asked for, and where it really is.
    last_parent: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tree {
    /// A tree that takes at most so many entries.
    pub(crate) fn new(writer: ImageWriter, most_entries: u64) -> Self {
        Self {
            writer,
            os: None,
            entries: 0,
            most_entries,
            last_parent: None,
        }
    }

    /// Completes the image.
    pub(crate) fn finish(self) -> Result<Facts, WriteError> {
        if self.entries == 0 {
            return Err(WriteError::Empty);
        }
        let init = facts::init(&self.writer);
        let os = self.os;
        self.writer.finish().map_err(|source| WriteError::Image {
            what: "finish",
            source,
        })?;
        Ok(Facts { os, init })
    }

    /// Adds an entry of an archive, with its content.
    pub(crate) fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), WriteError> {
        let Entry { name, meta, kind } = entry;
        match kind {
            EntryKind::Directory => self.directory(&name, meta),
            EntryKind::File { size, segments } => self.file(&name, meta, size, &segments, content),
            EntryKind::Symlink(target) => self.symlink(&name, &target, meta),
            EntryKind::HardLink(existing) => self.hard_link(&name, &existing),
            EntryKind::Device { kind, major, minor } => self.device(&name, kind, (major, minor), meta),
            EntryKind::Fifo => self.fifo(&name, meta),
        }
    }

    pub(crate) fn directory(&mut self, name: &[u8], meta: Meta) -> Result<(), WriteError> {
        self.add(name, |writer, path| writer.directory(path, meta))
    }

    /// Adds a regular file, whose `segments` come from `data` one after the other.
    pub(crate) fn file(
        &mut self,
        name: &[u8],
        meta: Meta,
        size: u64,
        segments: &[Segment],
        data: &mut dyn Read,
    ) -> Result<(), WriteError> {
        let path = self.locate(name)?;
        let whole = [Segment { offset: 0, len: size }];
        if !facts::is_os_release(&path) || size >= facts::LONGEST || *segments != whole {
            return self.put(name, &path, |writer, path| {
                writer.file_segments(path, meta, size, segments, data)
            });
        }
        let mut content = Vec::new();
        data.take(size)
            .read_to_end(&mut content)
            .map_err(|source| WriteError::archive(self.entries, source))?;
        self.os = facts::pretty_name(&content).or(self.os.take());
        self.put(name, &path, |writer, path| {
            writer.file(path, meta, size, &mut Cursor::new(content))
        })
    }

    /// Adds a regular file whose content is in the image already. `content` is the same again, if the name says that it
    /// tells something of the image.
    pub(crate) fn stored_file(
        &mut self,
        name: &[u8],
        meta: Meta,
        stored: Stored,
        content: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        let path = self.locate(name)?;
        if let Some(content) = content
            && facts::is_os_release(&path)
        {
            self.os = facts::pretty_name(content).or(self.os.take());
        }
        self.put(name, &path, |writer, path| writer.stored_file(path, meta, stored))
    }

    /// Takes over what a lane has written.
    pub(crate) fn join(&mut self, landed: &Landed) {
        self.writer.join(landed);
    }

    /// Whether there is something at `name` that can have another name.
    pub(crate) fn has_file(&mut self, name: &[u8]) -> Result<bool, WriteError> {
        let path = self.locate(name)?;
        Ok(!matches!(self.writer.lookup(&path), None | Some(Kind::Directory)))
    }

    /// Removes what is at `name`, with all below it. Links on the way are not followed: what lies behind one has another
    /// path.
    pub(crate) fn remove_lower(&mut self, name: &[u8]) -> Result<(), WriteError> {
        self.last_parent = None;
        let path = literal(name)?;
        match path.is_empty() {
            true => Ok(()),
            false => self.remove(&path),
        }
    }

    /// Removes what is in the directory at `name`. What is there and is none is replaced. In the root this name is spared.
    pub(crate) fn empty_lower(&mut self, name: &[u8], spared: &[u8]) -> Result<(), WriteError> {
        self.last_parent = None;
        let path = literal(name)?;
        self.make_directories(&path)?;
        for name in self.writer.names(&path) {
            if path.is_empty() && name == spared {
                continue;
            }
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            self.remove(&[&path[..], slash, &name].concat())?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let removed = self.writer.remove(path).map(drop);
        removed.map_err(|source| WriteError::Write {
            entry: shown(path),
            source,
        })
    }

    /// Has the first thing on the way to `path` that is no directory replaced by one. What is missing stays so: an entry
    /// makes it that needs it.
    fn make_directories(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let ends = (0..=path.len()).filter(|&at| at == path.len() || path[at] == b'/');
        for end in ends {
            let above = &path[..end];
            match self.writer.lookup(above) {
                Some(Kind::Directory) => {}
                None => return Ok(()),
                Some(_) => {
                    let made = self.writer.directory(above, Meta::new(0o755, Default::default()));
                    return made.map_err(|source| WriteError::Write {
                        entry: shown(above),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn symlink(&mut self, name: &[u8], target: &[u8], mut meta: Meta) -> Result<(), WriteError> {
        self.last_parent = None;
        // As Linux makes them, and no program can change (symlink(7)); archives say what they like.
        meta.mode = 0o777;
        self.add(name, |writer, path| writer.symlink(path, target, meta))
    }

    pub(crate) fn hard_link(&mut self, name: &[u8], existing: &[u8]) -> Result<(), WriteError> {
        let existing = self.locate(existing)?;
        self.add(name, |writer, path| writer.hard_link(path, &existing))
    }

    pub(crate) fn device(
        &mut self,
        name: &[u8],
        kind: DeviceKind,
        number: (u32, u32),
        meta: Meta,
    ) -> Result<(), WriteError> {
        self.add(name, |writer, path| {
            writer.device(path, kind, number.0, number.1, meta)
        })
    }

    pub(crate) fn fifo(&mut self, name: &[u8], meta: Meta) -> Result<(), WriteError> {
        self.add(name, |writer, path| writer.fifo(path, meta))
    }

    fn add(
        &mut self,
        name: &[u8],
        write: impl FnOnce(&mut ImageWriter, &[u8]) -> Result<(), banger_ext4::Error>,
    ) -> Result<(), WriteError> {
        let path = self.locate(name)?;
        self.put(name, &path, write)
    }

    fn put(
        &mut self,
        name: &[u8],
        path: &[u8],
        write: impl FnOnce(&mut ImageWriter, &[u8]) -> Result<(), banger_ext4::Error>,
    ) -> Result<(), WriteError> {
        if self.entries == self.most_entries {
            return Err(WriteError::TooMany(self.most_entries));
        }
        // A way that led over a symbolic link leads elsewhere once something else is there.
        if self.writer.lookup(path) == Some(Kind::Symlink) {
            self.last_parent = None;
        }
        write(&mut self.writer, path).map_err(|source| WriteError::Write {
            entry: shown(name),
            source,
        })?;
        self.entries += 1;
        // Each entry may bring its parents along, as many as its path has.
        let directories = (self.writer.inodes() as u64).saturating_sub(self.entries);
        match directories > IMPLIED.saturating_add(self.entries.saturating_mul(IMPLIED_EACH)) {
            true => Err(WriteError::Implied {
                entries: self.entries,
                directories,
            }),
            false => Ok(()),
        }
    }

    /// Where an entry goes: its name without `.` parts, its parents with symbolic links followed inside the image.
    pub(crate) fn locate(&mut self, name: &[u8]) -> Result<Vec<u8>, WriteError> {
        let fault = |fault| WriteError::Entry {
            entry: shown(name),
            fault,
        };
        if name.first() == Some(&b'/') {
            return Err(fault(EntryFault::Absolute));
        }
        let parts: Vec<&[u8]> = parts(name).collect();
        if parts.contains(&&b".."[..]) {
            return Err(fault(EntryFault::Escapes));
        }
        let Some((last, parents)) = parts.split_last() else {
            return Ok(Vec::new());
        };
        let asked = parents.join(&b'/');
        let mut path = match &self.last_parent {
            Some((known, real)) if *known == asked => real.clone(),
            _ => {
                let real = follow(&self.writer, parents).map_err(fault)?;
                self.last_parent = Some((asked, real.clone()));
                real
            }
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(last);
        Ok(path)
    }
}

/// A name as a path without `.` parts, on which no link is followed.
fn literal(name: &[u8]) -> Result<Vec<u8>, WriteError> {
    let parts: Vec<&[u8]> = parts(name).collect();
    if parts.contains(&&b".."[..]) {
        return Err(WriteError::Entry {
            entry: shown(name),
            fault: EntryFault::Escapes,
        });
    }
    Ok(parts.join(&b'/'))
}
