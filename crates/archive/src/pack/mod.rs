//! Files of a file system as an archive: owners, modes, times, attributes, links and holes, as they are while they are
//! read.

mod content;
mod error;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_hostfs::{Dir, Error as HostError, Found, Kind};
use banger_inode::{DeviceKind, Meta, Timestamp};
use rustix::fs::{major, minor};

use crate::{Entry, EntryKind, Writer, attributes, shown};

use self::content::{Content, Fault};
pub use self::error::PackError;

/// The deepest directory: each is held.
const DEEPEST: usize = 400;

/// What is packed, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packing {
    /// Every attribute, devices and named pipes, too.
    pub all: bool,
    /// What symbolic links lead to, instead of the links.
    pub follow: bool,
    /// A file that becomes shorter while it is read ends in zeros, instead of ending the work.
    pub pad: bool,
}

/// What was packed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Entries.
    pub entries: u64,
    /// Bytes of file content, without holes.
    pub bytes: u64,
    /// What was left out, and why: a line for each.
    pub notes: Vec<String>,
}

/// What takes an archive. Content is read right into it.
pub trait Sink: Write {
    /// Room for bytes that come next: one at least.
    ///
    /// # Errors
    /// When no more is taken.
    fn room(&mut self) -> io::Result<&mut [u8]>;

    /// Takes so many bytes that were put there.
    ///
    /// # Errors
    /// When no more is taken.
    fn filled(&mut self, len: usize) -> io::Result<()>;
}

impl<S: Sink> Sink for &mut S {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        (**self).room()
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        (**self).filled(len)
    }
}

/// In memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// The archive.
    pub bytes: Vec<u8>,
    room: Vec<u8>,
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Memory {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        self.room.resize(64 << 10, 0);
        Ok(&mut self.room)
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        self.bytes.extend_from_slice(&self.room[..len]);
        Ok(())
    }
}

/// Packs files into an archive.
pub struct Packer<W> {
    writer: Writer<W>,
    packing: Packing,
    /// The first name of every file that has several.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    /// The directories that lead to where we are, if links are followed.
    above: Vec<(u64, u64)>,
    packed: Packed,
}

impl<W: Sink> Packer<W> {
    /// A packer whose archive goes to `to`.
    pub fn new(to: W, packing: Packing) -> Self {
        Self {
            writer: Writer::new(to),
            packing,
            links: BTreeMap::new(),
            above: Vec::new(),
            packed: Packed::default(),
        }
    }

    /// Packs the file or tree `path` under `name`; nothing is the directory that the archive is unpacked in. Links on the way to
    /// it are its user's; below it none is followed, unless links are.
    ///
    /// # Errors
    /// When a file cannot be read, or the archive not be written.
    pub fn tree(&mut self, path: &Path, name: &[u8]) -> Result<(), PackError> {
        // With a slash behind it, what a link leads to is meant.
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return self.found(Dir::open(path)?.look("")?, name);
        }
        let found = match Dir::around(path)? {
            Some((dir, file)) => self.look(&dir, Path::new(&file))?,
            None => Dir::open(path)?.look("")?,
        };
        self.found(found, name)
    }

    /// Packs `path` below `dir` alone, without what is in it. Gives what it is; nothing if it was left out.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn one(&mut self, dir: &Dir, path: &Path, name: &[u8]) -> Result<Option<Metadata>, PackError> {
        let found = self.look(dir, path)?;
        self.alone(&found, name)
    }

    fn look(&self, dir: &Dir, path: &Path) -> Result<Found, HostError> {
        match self.packing.follow {
            true => dir.look_through(path),
            false => dir.look(path),
        }
    }

    fn found(&mut self, found: Found, name: &[u8]) -> Result<(), PackError> {
        match self.alone(&found, name)? {
            Some(metadata) if metadata.is_dir() => self.below(found, &metadata, name),
            _ => Ok(()),
        }
    }

    fn below(&mut self, found: Found, metadata: &Metadata, name: &[u8]) -> Result<(), PackError> {
        let identity = (metadata.dev(), metadata.ino());
        if self.packing.follow && self.above.contains(&identity) {
            return Err(PackError::Circle(found.path().to_owned()));
        }
        if self.above.len() == DEEPEST {
            return Err(PackError::Deep(found.path().to_owned()));
        }
        self.above.push(identity);
        let dir = found.dir()?;
        for file in dir.entries()? {
            let full = match name {
                b"" => file.as_bytes().to_vec(),
                above => [above, b"/", file.as_bytes()].concat(),
            };
            match self.look(&dir, Path::new(&file)) {
                Ok(found) => self.found(found, &full)?,
                // What a link leads to was asked for; else it was there when the directory was read.
                Err(error) if error.is_absent() && !self.packing.follow => {
                    self.leave_out(error.path(), "it was removed while its directory was copied");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.above.pop();
        Ok(())
    }

    fn alone(&mut self, found: &Found, name: &[u8]) -> Result<Option<Metadata>, PackError> {
        let metadata = found.metadata();
        if !metadata.is_dir() && metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode) {
                let kind = EntryKind::HardLink(first.clone());
                self.entry(name, Meta::new(0o644, time(metadata)), kind)?;
                return Ok(Some(metadata.clone()));
            }
        }
        let packed = match found.kind() {
            Kind::File => self.file(found, name)?,
            kind => self.special(found, kind, name)?,
        };
        if let Some(metadata) = packed
            .as_ref()
            .filter(|metadata| !metadata.is_dir() && metadata.nlink() > 1)
        {
            self.links.insert((metadata.dev(), metadata.ino()), name.to_vec());
        }
        Ok(packed)
    }

    fn special(&mut self, found: &Found, kind: Kind, name: &[u8]) -> Result<Option<Metadata>, PackError> {
        let metadata = found.metadata();
        let mut meta = meta(metadata);
        let all = self.packing.all;
        let kind = match kind {
            Kind::Directory => {
                let itself = Dir::file_of_found(found);
                meta.xattrs = itself.map_or_else(|_| Vec::new(), |dir| attributes::of_file(&dir, all));
                EntryKind::Directory
            }
            Kind::Symlink => match found.target() {
                Ok(target) => EntryKind::Symlink(target),
                // Of a process that has ended, or of the kernel's own.
                Err(error) if error.is_absent() && !self.above.is_empty() => {
                    self.leave_out(found.path(), "it leads nowhere");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            },
            Kind::Fifo if all => EntryKind::Fifo,
            Kind::CharDevice | Kind::BlockDevice if all => {
                let number = metadata.rdev();
                let kind = match kind {
                    Kind::CharDevice => DeviceKind::Char,
                    _ => DeviceKind::Block,
                };
                EntryKind::Device {
                    kind,
                    major: major(number),
                    minor: minor(number),
                }
            }
            kind => {
                let hint = if kind == Kind::Socket {
                    ""
                } else {
                    " (-a copies it)"
                };
                self.leave_out(found.path(), &format!("it is {kind}{hint}"));
                return Ok(None);
            }
        };
        self.entry(name, meta, kind)?;
        Ok(Some(metadata.clone()))
    }

    /// Writes the end mark.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn finish(self) -> Result<(W, Packed), PackError> {
        let mut to = self.writer.finish().map_err(PackError::Write)?;
        to.flush().map_err(PackError::Write)?;
        Ok((to, self.packed))
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        // As many as someone would read.
        if self.packed.notes.len() < 100 {
            let path = shown(path.as_os_str().as_bytes());
            self.packed.notes.push(format!("{path} was left out: {why}"));
        }
    }

    fn entry(&mut self, name: &[u8], meta: Meta, kind: EntryKind) -> Result<(), PackError> {
        let entry = Entry {
            name: name.to_vec(),
            meta,
            kind,
        };
        self.packed.entries += 1;
        self.writer
            .entry(&entry, &mut io::empty())
            .map_err(PackError::Write)
    }

    fn file(&mut self, found: &Found, name: &[u8]) -> Result<Option<Metadata>, PackError> {
        let path = found.path();
        let opened = found.open().map_err(PackError::from).and_then(|file| {
            let failed = |source| PackError::file("inspect", path, source);
            let metadata = file.metadata().map_err(failed)?;
            let content = Content::of(file, &metadata, self.packing.pad, path)?;
            Ok((metadata, content))
        });
        let (metadata, mut data) = match opened {
            Ok(opened) => opened,
            // The kernel has files that are for writing, or for waiting. What is beside them goes.
            Err(error) if content::is_made_up(found.metadata()) && !self.above.is_empty() => {
                self.leave_out(path, &format!("it cannot be read: {}", error.why()));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut meta = meta(&metadata);
        meta.xattrs = attributes::of_file(data.file(), self.packing.all);
        let kind = EntryKind::File {
            size: data.size(),
            segments: data.segments().to_vec(),
        };
        let entry = Entry {
            name: name.to_vec(),
            meta,
            kind,
        };
        self.packed.entries += 1;
        self.packed.bytes += data.stored();
        match self.content(&entry, &mut data) {
            Ok(()) => Ok(Some(metadata)),
            Err(source) => Err(match data.fault() {
                Some(Fault::Shorter) => PackError::Changed(path.to_owned()),
                Some(Fault::Read) => PackError::file("read", path, source),
                None => PackError::Write(source),
            }),
        }
    }

    fn content(&mut self, entry: &Entry, data: &mut Content) -> io::Result<()> {
        let stored = self.writer.begin(entry)?;
        let mut left = stored;
        while left > 0 {
            let to = self.writer.content();
            let room = to.room()?;
            let want = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match data.read(&mut room[..want]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                data.is_shorter();
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.filled(read)?;
            left -= read as u64;
        }
        self.writer.pad(stored)
    }
}

fn meta(metadata: &Metadata) -> Meta {
    let mut meta = Meta::new((metadata.mode() & 0o7777) as u16, time(metadata));
    meta.uid = metadata.uid();
    meta.gid = metadata.gid();
    meta
}

fn time(metadata: &Metadata) -> Timestamp {
    Timestamp {
        secs: metadata.mtime(),
        nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
    }
}

/// The name that a file which was named `path` gets in an archive; nothing for `.`, `..` and `/`, of which only what is in
/// them is meant.
pub fn name_of(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.split(|&byte| byte == b'/').rev();
    let name = parts.find(|part| !part.is_empty())?;
    (!matches!(name, b"." | b"..")).then(|| name.to_vec())
}
