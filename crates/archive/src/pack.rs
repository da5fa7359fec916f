//! Files of a file system as an archive: owners, modes, times, attributes, links and holes, as they are while they are
//! read.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use banger_inode::{DeviceKind, Meta, Segment, Timestamp};
use rustix::fs::{OFlags, SeekFrom as Hole, major, minor, seek};

use crate::{Entry, EntryKind, Writer, attributes, shown};

/// More holes than readers take; such a file goes whole.
const MOST_PARTS: usize = 1 << 20;

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

/// Files could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or directory.
    #[error("{what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("{} changed while it was being copied", .0.display())]
    Changed(PathBuf),
    /// A symbolic link that is followed leads to a directory it is in.
    #[error("{} leads in a circle", .0.display())]
    Circle(PathBuf),
    /// The archive's taker takes no more.
    #[error("write the archive")]
    Write(#[source] io::Error),
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

    /// Packs the file or tree `path` under `name`; nothing is the directory that the archive is unpacked in.
    ///
    /// # Errors
    /// When a file cannot be read, or the archive not be written.
    pub fn tree(&mut self, path: &Path, name: &[u8]) -> Result<(), PackError> {
        let Some(metadata) = self.one(path, name)? else {
            return Ok(());
        };
        if !metadata.is_dir() {
            return Ok(());
        }
        let identity = (metadata.dev(), metadata.ino());
        if self.packing.follow && self.above.contains(&identity) {
            return Err(PackError::Circle(path.to_owned()));
        }
        self.above.push(identity);
        let mut names = std::fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(|source| failed("list", path, source))?;
        names.sort();
        for file in names {
            let name = match name {
                b"" => file.as_bytes().to_vec(),
                dir => [dir, b"/", file.as_bytes()].concat(),
            };
            self.tree(&path.join(file), &name)?;
        }
        self.above.pop();
        Ok(())
    }

    /// Packs `path` alone, without what is in it. Gives what it is; nothing if it was left out.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn one(&mut self, path: &Path, name: &[u8]) -> Result<Option<Metadata>, PackError> {
        let look = if self.packing.follow {
            std::fs::metadata
        } else {
            std::fs::symlink_metadata
        };
        let metadata = look(path).map_err(|source| failed("look at", path, source))?;
        if !metadata.is_dir() && metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode) {
                let kind = EntryKind::HardLink(first.clone());
                self.entry(name, Meta::new(0o644, time(&metadata)), kind)?;
                return Ok(Some(metadata));
            }
            self.links.insert(inode, name.to_vec());
        }
        let kind = metadata.file_type();
        if kind.is_file() {
            return self.file(path, name).map(Some);
        }
        let kind = if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path).map_err(|source| failed("read", path, source))?;
            EntryKind::Symlink(target.into_os_string().into_encoded_bytes())
        } else if kind.is_socket() {
            return Ok(self.left_out(path, "a socket"));
        } else if !self.packing.all {
            let kind = if kind.is_fifo() {
                "a named pipe, which -a copies"
            } else {
                "a device, which -a copies"
            };
            return Ok(self.left_out(path, kind));
        } else if kind.is_fifo() {
            EntryKind::Fifo
        } else {
            let number = metadata.rdev();
            let kind = if kind.is_char_device() {
                DeviceKind::Char
            } else {
                DeviceKind::Block
            };
            EntryKind::Device {
                kind,
                major: major(number),
                minor: minor(number),
            }
        };
        let mut meta = meta(&metadata);
        if kind == EntryKind::Directory {
            meta.xattrs = attributes::of(path, self.packing.all);
        }
        self.entry(name, meta, kind)?;
        Ok(Some(metadata))
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

    fn left_out(&mut self, path: &Path, what: &str) -> Option<Metadata> {
        // As many as someone would read.
        if self.packed.notes.len() < 100 {
            let path = shown(path.as_os_str().as_bytes());
            self.packed
                .notes
                .push(format!("{path} was left out: it is {what}"));
        }
        None
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

    fn file(&mut self, path: &Path, name: &[u8]) -> Result<Metadata, PackError> {
        // What was looked at may be something else by now: never wait for a named pipe, nor follow a new link.
        let flags = match self.packing.follow {
            true => OFlags::NONBLOCK,
            false => OFlags::NONBLOCK | OFlags::NOFOLLOW,
        };
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(path);
        let file = file.map_err(|source| failed("open", path, source))?;
        let metadata = file
            .metadata()
            .map_err(|source| failed("look at", path, source))?;
        if !metadata.is_file() {
            return Err(PackError::Changed(path.to_owned()));
        }
        let size = metadata.len();
        let segments = parts(&file, &metadata).map_err(|source| failed("look for holes in", path, source))?;
        let mut meta = meta(&metadata);
        meta.xattrs = attributes::of_file(&file, self.packing.all);
        let kind = EntryKind::File {
            size,
            segments: segments.clone(),
        };
        let entry = Entry {
            name: name.to_vec(),
            meta,
            kind,
        };
        self.packed.entries += 1;
        self.packed.bytes += segments.iter().map(|segment| segment.len).sum::<u64>();
        let mut data = Data::new(file, segments, self.packing.pad);
        match self.content(&entry, &mut data) {
            Ok(()) => Ok(metadata),
            Err(source) => Err(match data.fault {
                Some(Fault::Shorter) => PackError::Changed(path.to_owned()),
                Some(Fault::Read) => failed("read", path, source),
                None => PackError::Write(source),
            }),
        }
    }

    fn content(&mut self, entry: &Entry, data: &mut Data) -> io::Result<()> {
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
                data.fault = Some(Fault::Shorter);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.filled(read)?;
            left -= read as u64;
        }
        self.writer.pad(stored)
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> PackError {
    PackError::File {
        what,
        path: path.to_owned(),
        source,
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

/// The parts of a file that are not holes.
fn parts(file: &File, metadata: &Metadata) -> io::Result<Vec<Segment>> {
    let size = metadata.len();
    let whole = || match size {
        0 => Vec::new(),
        len => vec![Segment { offset: 0, len }],
    };
    if metadata.blocks().saturating_mul(512) >= size {
        return Ok(whole());
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(file, Hole::Data(at)) {
            Ok(offset) => offset,
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(rustix::io::Errno::INVAL) => return Ok(whole()),
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, Hole::Hole(offset))?.min(size);
        if offset >= end || parts.len() == MOST_PARTS - 1 {
            // It changes under our hands, or is more hole than file.
            return Ok(whole());
        }
        parts.push(Segment {
            offset,
            len: end - offset,
        });
        at = end;
    }
    Ok(parts)
}

enum Fault {
    Shorter,
    Read,
}

/// The bytes of a file's segments, one after the other.
struct Data {
    file: File,
    segments: std::vec::IntoIter<Segment>,
    left: u64,
    pad: bool,
    fault: Option<Fault>,
}

impl Data {
    fn new(file: File, segments: Vec<Segment>, pad: bool) -> Self {
        Self {
            file,
            segments: segments.into_iter(),
            left: 0,
            pad,
            fault: None,
        }
    }
}

impl Read for Data {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(segment) = self.segments.next() else {
                return Ok(0);
            };
            self.left = segment.len;
            self.file
                .seek(SeekFrom::Start(segment.offset))
                .inspect_err(|_| self.fault = Some(Fault::Read))?;
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..want]);
        let read = match read {
            Ok(0) if want > 0 && self.pad => {
                buffer[..want].fill(0);
                want
            }
            Ok(0) if want > 0 => {
                self.fault = Some(Fault::Shorter);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(read) => read,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.fault = Some(Fault::Read);
                }
                return Err(error);
            }
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// The name that a file which was named `path` gets in an archive; nothing for `.`, `..` and `/`, of which only what is in
/// them is meant.
pub fn name_of(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.split(|&byte| byte == b'/').rev();
    let name = parts.find(|part| !part.is_empty())?;
    (!matches!(name, b"." | b"..")).then(|| name.to_vec())
}
