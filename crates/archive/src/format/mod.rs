//! Tar archives, read and written entry by entry: exactly what each says, or an error.
//!
//! Sources: IEEE 1003.1, `pax`, for ustar and pax archives; the GNU tar manual, "Basic Tar Format", "Storing Sparse
//! Files" and "Other Fields", for GNU's; star(5) for attributes and for numbers to the base 256. Where writers differ
//! from them, the measure is what Go's `archive/tar` reads, which is what container runtimes see of a layer, and
//! then GNU tar.
//!
//! ```text
//!   stream: blocks ──> header: fixed fields ─┬─> mod: an entry ──> `each`, with the stream as its content
//!                      pax: records ─────────┤
//!                      sparse: maps ─────────┘
//! ```

mod decimal;
mod header;
mod pax;
mod sparse;
mod sparse_records;
mod stream;
mod write;

use std::io::Read;

use banger_inode::{DeviceKind, Meta, Segment, Timestamp};

use crate::Error;
use crate::{EntryFault, shown};

use self::header::{Header, text};
use self::pax::Records;
use self::stream::Stream;
pub use self::write::Writer;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it is in the archive.
    pub name: Vec<u8>,
    /// Owner, mode, time and attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// An entry of root's without attributes, changed at `mtime` (seconds and nanoseconds since 1970).
    pub fn plain(name: Vec<u8>, mode: u16, mtime: (i64, u32), kind: EntryKind) -> Self {
        let (secs, nanos) = mtime;
        Self {
            name,
            meta: Meta::new(mode, Timestamp { secs, nanos }),
            kind,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file. The bytes of its segments come one after the other; all else are holes.
    File {
        /// Its length in bytes.
        size: u64,
        /// Its parts that are no holes, in order.
        segments: Vec<Segment>,
    },
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// Another name of the entry with this name.
    HardLink(Vec<u8>),
    /// A device node.
    Device {
        /// Which of both kinds.
        kind: DeviceKind,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    /// A regular file of this length, without holes.
    pub fn file(size: u64) -> Self {
        Self::File {
            size,
            segments: vec![Segment { offset: 0, len: size }],
        }
    }

    /// How many bytes its content has, without holes.
    pub fn stored(&self) -> u64 {
        match self {
            Self::File { segments, .. } => segments.iter().map(|segment| segment.len).sum(),
            _ => 0,
        }
    }
}

/// Reads a plain tar to its end mark and calls `each` for every entry; the content of a file is read from the reader
/// that comes with it, and may be left unread. Tells how many entries there were.
///
/// # Errors
/// If the archive is damaged or truncated, holds what no image can, or `each` fails.
pub fn read<E: From<Error>>(
    tar: impl Read,
    each: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<u64, E> {
    all(Stream::new(tar), each)
}

/// The same for an archive of which a digest tells where it ends: the end mark may be missing, as in Go's `archive/tar`.
///
/// # Errors
/// As [`read`].
pub fn read_unmarked<E: From<Error>>(
    tar: impl Read,
    each: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<u64, E> {
    all(Stream::unmarked(tar), each)
}

fn all<R: Read, E: From<Error>>(
    mut stream: Stream<R>,
    each: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<u64, E> {
    while let Some((entry, data)) = next(&mut stream)? {
        let used = each(entry, &mut stream.content(data));
        stream.outcome(used)?;
        stream.entries += 1;
    }
    Ok(stream.entries)
}

/// What headers before an entry's own say about it.
#[derive(Default)]
struct Ahead {
    records: Records,
    /// GNU's long names, which come before those of records, as in Go.
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// The next entry, with the number of bytes of its data, which come next.
fn next<R: Read>(stream: &mut Stream<R>) -> Result<Option<(Entry, u64)>, Error> {
    let mut ahead = Ahead::default();
    while let Some(header) = stream.header()? {
        match header.flag() {
            // Solaris wrote its own letter. A second header of records is instead of the first, as in Go.
            b'x' | b'X' => ahead.records = records(stream, &header)?,
            // What a global header says holds for all entries that follow, until they or another one say something else
            // (pax, "pax Header Block"; GNU tar applies it, too). `git archive` keeps its commit there.
            b'g' => {
                let mut global = records(stream, &header)?;
                global.over(&stream.global);
                stream.global = global;
            }
            b'L' => ahead.name = long(&stream.special(&header)?),
            b'K' => ahead.target = long(&stream.special(&header)?),
            // A volume's label is no file.
            b'V' => {
                let size = header.size().map_err(|fault| stream.damaged(fault.to_string()))?;
                stream.expect(size);
                ahead = Ahead::default();
            }
            _ => return entry(stream, &header, ahead).map(Some),
        }
    }
    Ok(None)
}

fn records<R: Read>(stream: &mut Stream<R>, header: &Header) -> Result<Records, Error> {
    let content = stream.special(header)?;
    Records::parse(&content).map_err(|fault| stream.damaged(fault))
}

fn long(content: &[u8]) -> Option<Vec<u8>> {
    let name = text(content);
    (!name.is_empty()).then(|| name.to_vec())
}

fn entry<R: Read>(stream: &mut Stream<R>, header: &Header, ahead: Ahead) -> Result<(Entry, u64), Error> {
    let Ahead {
        mut records,
        name,
        target,
    } = ahead;
    records.over(&stream.global);
    // Go has the name of a sparse file replace even a long one.
    let name = records
        .sparse
        .name
        .take()
        .or(name)
        .or(records.path.take())
        .unwrap_or_else(|| header.name());
    let target = target.or(records.linkpath.take());
    let described = || -> Result<(Meta, EntryKind, u64), Fault> {
        let meta = meta(header, &mut records)?;
        let (kind, data) = match header.flag() {
            b'0' | b'7' | b'S' | 0 => file(stream, header, &records, &name)?,
            _ => (without_data(stream, header, target)?, 0),
        };
        Ok((meta, kind, data))
    };
    match described() {
        Ok((meta, kind, data)) => Ok((Entry { name, meta, kind }, data)),
        Err(Fault::Archive(error)) => Err(error),
        Err(Fault::Entry(fault)) => Err(Error::Entry {
            entry: shown(&name),
            fault,
        }),
    }
}

/// Why an entry could not be understood.
enum Fault {
    /// The archive could not be read on.
    Archive(Error),
    /// The entry is no good.
    Entry(EntryFault),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Archive(error)
    }
}

impl From<EntryFault> for Fault {
    fn from(fault: EntryFault) -> Self {
        Self::Entry(fault)
    }
}

/// A regular file and how much of it is stored; what describes its holes is read.
fn file<R: Read>(
    stream: &mut Stream<R>,
    header: &Header,
    records: &Records,
    name: &[u8],
) -> Result<(EntryKind, u64), Fault> {
    let stored = match records.size {
        Some(size) => size,
        None => header.size()?,
    };
    let sparse = if header.flag() == b'S' {
        sparse::old(stream, header, stored)?
    } else if records.sparse.any() {
        sparse::pax(stream, &records.sparse, stored)?
    } else {
        stream.expect(stored);
        return Ok((dense(stored, name), stored));
    };
    stream.expect(sparse.stored);
    let kind = EntryKind::File {
        size: sparse.size,
        segments: sparse.segments,
    };
    Ok((kind, sparse.stored))
}

fn dense(size: u64, name: &[u8]) -> EntryKind {
    // Archives of before ustar mark directories by a slash alone.
    if name.ends_with(b"/") {
        return EntryKind::Directory;
    }
    let whole = Segment { offset: 0, len: size };
    EntryKind::File {
        size,
        segments: if size == 0 { Vec::new() } else { vec![whole] },
    }
}

/// Owner, mode, time and attributes: the header's, or what records say instead.
fn meta(header: &Header, records: &mut Records) -> Result<Meta, EntryFault> {
    let of_header = Timestamp {
        secs: header.mtime()?,
        nanos: 0,
    };
    let id = |told: Option<i64>, of_header: i64| {
        let id = told.unwrap_or(of_header);
        u32::try_from(id).map_err(|_| EntryFault::Header(format!("owner {id} is out of range")))
    };
    let mut meta = Meta::new(header.mode()?, records.mtime.unwrap_or(of_header));
    meta.uid = id(records.uid, header.uid()?)?;
    meta.gid = id(records.gid, header.gid()?)?;
    meta.xattrs = std::mem::take(&mut records.xattrs);
    Ok(meta)
}

/// An entry that is no regular file. `target` is what other headers than its own say of it.
fn without_data<R: Read>(
    stream: &mut Stream<R>,
    header: &Header,
    target: Option<Vec<u8>>,
) -> Result<EntryKind, EntryFault> {
    let target = || {
        let target = target.unwrap_or_else(|| header.target());
        if target.is_empty() {
            Err(EntryFault::NoTarget)
        } else {
            Ok(target)
        }
    };
    let device = |kind| {
        let (major, minor) = header.device()?;
        Ok(EntryKind::Device { kind, major, minor })
    };
    // These have no data even if they have a size, but for GNU's directories with a list of what was in them.
    stream.expect(if header.flag() == b'D' { header.size()? } else { 0 });
    match header.flag() {
        b'1' => target().map(EntryKind::HardLink),
        b'2' => target().map(EntryKind::Symlink),
        b'3' => device(DeviceKind::Char),
        b'4' => device(DeviceKind::Block),
        b'5' | b'D' => Ok(EntryKind::Directory),
        b'6' => Ok(EntryKind::Fifo),
        other => Err(EntryFault::Kind(unknown(other))),
    }
}

/// A type flag that stands for nothing in an image.
fn unknown(flag: u8) -> String {
    match flag {
        b'M' => "M, a file's continuation from another volume".to_owned(),
        b'N' => "N, the old GNU list of long names".to_owned(),
        b'A' => "A, a Solaris access control list".to_owned(),
        b'I' => "I, an inode of star's without its content".to_owned(),
        _ => flag.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod written;
