//! A directory of the host as an image.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use banger_ext4::{DeviceKind, Meta, Segment, Timestamp, Xattr};
use banger_store::OfFile;
use rustix::fs::{SeekFrom as Hole, major, minor, seek};

use crate::changes::without_overlay;
use crate::error::WriteError;
use crate::told::{Cancelled, Progress};
use crate::tree::Tree;

/// Adds everything below `root`. Sockets stay behind: they belong to running programs.
pub(super) fn add(tree: &mut Tree, root: &Path, progress: Progress<'_>) -> Result<(), WriteError> {
    let metadata = std::fs::metadata(root).of("inspect", root)?;
    tree.directory(b"", meta(root, &metadata)?)?;
    let mut walk = Walk {
        tree,
        root,
        links: BTreeMap::new(),
        done: 0,
        progress,
    };
    walk.directory(b"")
}

struct Walk<'a> {
    tree: &'a mut Tree,
    root: &'a Path,
    /// The first name of every file that has several.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    done: u64,
    progress: Progress<'a>,
}

impl Walk<'_> {
    fn directory(&mut self, under: &[u8]) -> Result<(), WriteError> {
        let dir = self.root.join(OsStr::from_bytes(under));
        let mut entries: Vec<_> = std::fs::read_dir(&dir)
            .and_then(Iterator::collect)
            .of("list", &dir)?;
        // So that the same tree gives the same bytes.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if (self.progress)(self.done, None).is_break() {
                return Err(Cancelled.into());
            }
            let mut name = under.to_vec();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(entry.file_name().as_bytes());
            self.entry(&name)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &[u8]) -> Result<(), WriteError> {
        let path = &self.root.join(OsStr::from_bytes(name));
        let metadata = std::fs::symlink_metadata(path).of("inspect", path)?;
        let kind = metadata.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        if !kind.is_dir() && metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode) {
                return self.tree.hard_link(name, first);
            }
            self.links.insert(inode, name.to_vec());
        }
        let meta = meta(path, &metadata)?;
        if kind.is_dir() {
            self.tree.directory(name, meta)?;
            self.directory(name)
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path).of("read", path)?;
            self.tree.symlink(name, target.as_os_str().as_bytes(), meta)
        } else if kind.is_fifo() {
            self.tree.fifo(name, meta)
        } else if kind.is_char_device() || kind.is_block_device() {
            let device = if kind.is_char_device() {
                DeviceKind::Char
            } else {
                DeviceKind::Block
            };
            let number = metadata.rdev();
            self.tree
                .device(name, device, (major(number), minor(number)), meta)
        } else {
            self.file(name, path, &metadata, meta)
        }
    }

    fn file(&mut self, name: &[u8], path: &Path, metadata: &Metadata, meta: Meta) -> Result<(), WriteError> {
        let mut file = File::open(path).of("open", path)?;
        let size = metadata.len();
        self.done += size;
        if metadata.blocks() * 512 >= size {
            let whole = [Segment { offset: 0, len: size }];
            return self.tree.file(name, meta, size, &whole, &mut file);
        }
        let segments = segments(&file, size).of("look for holes in", path)?;
        let mut data = Data {
            file,
            segments: segments.clone().into_iter(),
            left: 0,
        };
        self.tree.file(name, meta, size, &segments, &mut data)
    }
}

fn meta(path: &Path, metadata: &Metadata) -> Result<Meta, WriteError> {
    let time = Timestamp {
        secs: metadata.mtime(),
        nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
    };
    let mut meta = Meta::new((metadata.mode() & 0o7777) as u16, time);
    meta.uid = metadata.uid();
    meta.gid = metadata.gid();
    // A file system without attributes has none to lose.
    for name in xattr::list(path).into_iter().flatten() {
        if let Some(value) = xattr::get(path, &name).of("read the attributes of", path)? {
            let name = name.as_bytes().to_vec();
            meta.xattrs.push(Xattr { name, value });
        }
    }
    without_overlay(&mut meta);
    Ok(meta)
}

/// The parts of a file that are not holes.
fn segments(file: &File, size: u64) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(file, Hole::Data(at)) {
            Ok(offset) => offset,
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, Hole::Hole(offset))?.min(size);
        segments.push(Segment {
            offset,
            len: end - offset,
        });
        at = end;
    }
    Ok(segments)
}

/// The bytes of a file's segments, one after the other.
struct Data {
    file: File,
    segments: std::vec::IntoIter<Segment>,
    left: u64,
}

impl Read for Data {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(segment) = self.segments.next() else {
                return Ok(0);
            };
            self.file.seek(SeekFrom::Start(segment.offset))?;
            self.left = segment.len;
        }
        let read = (&self.file).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}
