//! Tar archives: POSIX ustar and pax (IEEE 1003.1, `pax`), and GNU's.

use std::io::{self, Read};

use banger_ext4::{DeviceKind, Meta, Segment, Timestamp, Xattr};
use tar::{Archive, EntryType};

use crate::Error;
use crate::error::{EntryFault, shown};

/// Everything in a tar begins at a multiple of this.
const BLOCK: u64 = 512;

/// pax keywords of extended attributes, as star and GNU tar write them.
const XATTR: &str = "SCHILY.xattr.";

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name as it is in the archive.
    pub(crate) name: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    /// A regular file. The bytes of its segments come one after the other; all else are holes.
    File {
        size: u64,
        segments: Vec<Segment>,
    },
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// Another name of the entry with this name.
    HardLink(Vec<u8>),
    Device {
        kind: DeviceKind,
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Reads a plain tar to its end mark and calls `each` for every entry; the content of a file is read from the reader
/// that comes with it, and may be left unread. Tells how many entries there were.
///
/// # Errors
/// If the archive is damaged or truncated, holds what no image can, or `each` fails.
pub(crate) fn read(
    tar: impl Read,
    each: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut archive = Archive::new(Counted { from: tar, read: 0 });
    archive.set_ignore_zeros(false);
    let mut read = 0;
    // Where the next header, or the end mark, begins.
    let mut next = 0;
    let failed = |entries| move |source| Error::Archive { entries, source };
    for entry in archive.entries().map_err(failed(0))? {
        let mut entry = entry.map_err(failed(read))?;
        let size = if entry.header().entry_type() == EntryType::GNUSparse {
            entry.header().entry_size().map_err(failed(read))?
        } else {
            entry.size()
        };
        next = entry.raw_file_position() + size.next_multiple_of(BLOCK);
        if let Some(described) = described(&mut entry)? {
            each(described, &mut entry).map_err(|error| on_reading(error, read))?;
        }
        read += 1;
    }
    // The end mark is two blocks of zeros, of which some writers leave out the second.
    if archive.into_inner().read < next + BLOCK && read > 0 {
        return Err(Error::Truncated { entries: read });
    }
    Ok(read)
}

/// A file whose data ended early is a truncated archive, and not a fault of the image.
fn on_reading(error: Error, entries: u64) -> Error {
    match error {
        Error::Write {
            source: banger_ext4::Error::Truncated { .. },
            ..
        } => Error::Truncated { entries },
        other => other,
    }
}

fn described(entry: &mut tar::Entry<'_, impl Read>) -> Result<Option<Entry>, Error> {
    let name = entry.path_bytes().into_owned();
    let fault = |fault| Error::Entry {
        entry: shown(&name),
        fault,
    };
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let (meta, sparse) = meta(entry).map_err(|error| fault(EntryFault::Header(error.to_string())))?;
    if sparse {
        return Err(fault(EntryFault::Kind("pax sparse file".to_owned())));
    }
    let target = || {
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        target
            .filter(|target| !target.is_empty())
            .ok_or_else(|| fault(EntryFault::NoTarget))
    };
    let kind = match kind {
        EntryType::Directory => EntryKind::Directory,
        // Old archives mark directories by a slash alone.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => EntryKind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => dense(entry.size()),
        EntryType::Symlink => EntryKind::Symlink(target()?),
        EntryType::Link => EntryKind::HardLink(target()?),
        EntryType::Char | EntryType::Block => {
            let device = if kind == EntryType::Char {
                DeviceKind::Char
            } else {
                DeviceKind::Block
            };
            let (major, minor) =
                number(entry).map_err(|error| fault(EntryFault::Header(error.to_string())))?;
            EntryKind::Device {
                kind: device,
                major,
                minor,
            }
        }
        EntryType::Fifo => EntryKind::Fifo,
        other => return Err(fault(EntryFault::Kind(format!("{other:?}")))),
    };
    Ok(Some(Entry { name, meta, kind }))
}

/// A file without holes.
fn dense(size: u64) -> EntryKind {
    let whole = Segment { offset: 0, len: size };
    EntryKind::File {
        size,
        segments: if size == 0 { Vec::new() } else { vec![whole] },
    }
}

fn number(entry: &tar::Entry<'_, impl Read>) -> io::Result<(u32, u32)> {
    let header = entry.header();
    Ok((
        header.device_major()?.unwrap_or_default(),
        header.device_minor()?.unwrap_or_default(),
    ))
}

/// Owner, mode, time and attributes: the header's, or what pax records say instead. Tells also whether pax records
/// say that the content is that of a sparse file, with a map in front.
fn meta(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<(Meta, bool)> {
    let header = entry.header();
    let time = Timestamp {
        secs: i64::try_from(header.mtime()?).unwrap_or_default(),
        nanos: 0,
    };
    let mut meta = Meta::new((header.mode()? & 0o7777) as u16, time);
    meta.uid = id(header.uid()?)?;
    meta.gid = id(header.gid()?)?;
    let mut sparse = false;
    let Some(records) = entry.pax_extensions()? else {
        return Ok((meta, sparse));
    };
    for record in records {
        let record = record?;
        let value = record.value_bytes();
        let key = record.key().map_err(io::Error::other)?;
        match key {
            "mtime" => meta.mtime = timestamp(value).ok_or_else(|| invalid("mtime"))?,
            "uid" => meta.uid = id(decimal(value).ok_or_else(|| invalid("uid"))?)?,
            "gid" => meta.gid = id(decimal(value).ok_or_else(|| invalid("gid"))?)?,
            _ if key.starts_with("GNU.sparse.") => sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    meta.xattrs.push(Xattr {
                        name: name.as_bytes().to_vec(),
                        value: value.to_vec(),
                    });
                }
            }
        }
    }
    Ok((meta, sparse))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its {what} is no number"))
}

fn id(id: u64) -> io::Result<u32> {
    u32::try_from(id)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("owner {id} is out of range")))
}

fn decimal(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A pax time: seconds with a fraction, negative before 1970.
fn timestamp(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().ok()?;
    let digits = &fraction[..fraction.len().min(9)];
    let nanos = if digits.is_empty() {
        0
    } else {
        digits.parse::<u32>().ok()? * 10_u32.pow(9 - u32::try_from(digits.len()).ok()?)
    };
    // The fraction counts away from zero, ours from the second below.
    if whole.starts_with('-') && nanos > 0 {
        return Some(Timestamp {
            secs: secs.checked_sub(1)?,
            nanos: 1_000_000_000 - nanos,
        });
    }
    Some(Timestamp { secs, nanos })
}

/// A reader that counts.
struct Counted<R> {
    from: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_times_are_exact_on_both_sides_of_1970() {
        let time = |text: &str| timestamp(text.as_bytes()).map(|time| (time.secs, time.nanos));
        assert_eq!(time("1700000000.123456789"), Some((1_700_000_000, 123_456_789)));
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("-0.25"), Some((-1, 750_000_000)));
        assert_eq!(time("x"), None);
    }
}
