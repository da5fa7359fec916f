//! Tar archives, written so that every reader of pax archives gets exactly what an entry says.
//!
//! A header has what fits into it; records of an extended header have the rest: long names, times between seconds,
//! attributes, large numbers, holes. Source: IEEE 1003.1, `pax`; star(5) for attributes; the GNU tar manual, "Storing
//! Sparse Files", for format 1.0, in which the map of a sparse file comes before its data.

use std::io::{self, Read, Write};

use banger_inode::{DeviceKind, Segment, Timestamp};

use super::header::BLOCK;
use super::{Entry, EntryKind};

/// An archive in the making.
pub struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// An archive written to `to`.
    pub fn new(to: W) -> Self {
        Self { to }
    }

    /// Adds an entry. The bytes of a regular file's segments come from `content`, one after the other.
    ///
    /// # Errors
    /// When `content` ends too early or fails, or the archive cannot be written.
    pub fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let stored = self.begin(entry)?;
        if io::copy(&mut content.take(stored), &mut self.to)? != stored {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(stored)
    }

    /// Begins an entry. Gives how many bytes of content follow, for [`Self::content`], and then [`Self::pad`].
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn begin(&mut self, entry: &Entry) -> io::Result<u64> {
        let mut header = Header::new();
        let mut records = Records::default();
        let (name, map) = self.describe(entry, &mut header, &mut records);
        header.name(&name, &mut records);
        let meta = &entry.meta;
        header.number(100..108, u64::from(meta.mode & 0o7777));
        header.owner(108..116, "uid", meta.uid, &mut records);
        header.owner(116..124, "gid", meta.gid, &mut records);
        header.time(meta.mtime, &mut records);
        for xattr in &meta.xattrs {
            records.add(
                &[b"SCHILY.xattr.", &quoted(&xattr.name)[..]].concat(),
                &xattr.value,
            );
        }
        if !records.0.is_empty() {
            self.extended(&records.0)?;
        }
        self.to.write_all(&header.sealed())?;
        self.to.write_all(&map)?;
        Ok(match &entry.kind {
            EntryKind::File { segments, .. } => segments.iter().map(|segment| segment.len).sum(),
            _ => 0,
        })
    }

    /// Where content goes that is written by other means than [`Self::entry`].
    pub fn content(&mut self) -> &mut W {
        &mut self.to
    }

    /// Writes the end mark.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK as usize])?;
        Ok(self.to)
    }

    /// Fills in what kind of entry it is. Gives the name for its header, and a sparse file's map.
    fn describe(&self, entry: &Entry, header: &mut Header, records: &mut Records) -> (Vec<u8>, Vec<u8>) {
        let mut name = entry.name.clone();
        let flag = match &entry.kind {
            EntryKind::Directory => {
                name = if name.is_empty() {
                    b"./".to_vec()
                } else {
                    [&name[..], b"/"].concat()
                };
                b'5'
            }
            EntryKind::File { size, segments } => {
                let stored: u64 = segments.iter().map(|segment| segment.len).sum();
                if stored == *size {
                    header.size(*size, records);
                } else {
                    let map = sparse_map(segments, *size);
                    records.add(b"GNU.sparse.major", b"1");
                    records.add(b"GNU.sparse.minor", b"0");
                    records.add(b"GNU.sparse.name", &name);
                    records.add(b"GNU.sparse.realsize", size.to_string().as_bytes());
                    header.size(map.len() as u64 + stored, records);
                    header.set_flag(b'0');
                    return (b"GNUSparseFile.0/file".to_vec(), map);
                }
                b'0'
            }
            EntryKind::Symlink(target) => {
                header.target(target, records);
                b'2'
            }
            EntryKind::HardLink(existing) => {
                header.target(existing, records);
                b'1'
            }
            EntryKind::Device { kind, major, minor } => {
                header.number(329..337, u64::from(*major));
                header.number(337..345, u64::from(*minor));
                match kind {
                    DeviceKind::Char => b'3',
                    DeviceKind::Block => b'4',
                }
            }
            EntryKind::Fifo => b'6',
        };
        header.set_flag(flag);
        (name, Vec::new())
    }

    fn extended(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new();
        header.set_flag(b'x');
        header.raw[..10].copy_from_slice(b"PaxHeaders");
        header.number(100..108, 0o644);
        header.number(108..116, 0);
        header.number(116..124, 0);
        header.number(136..148, 0);
        header.number(124..136, records.len() as u64);
        self.to.write_all(&header.sealed())?;
        self.to.write_all(records)?;
        self.pad(records.len() as u64)
    }

    /// Ends content of so many bytes.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn pad(&mut self, len: u64) -> io::Result<()> {
        let zeros = len.next_multiple_of(BLOCK) - len;
        self.to.write_all(&[0; BLOCK as usize][..zeros as usize])
    }
}

/// The number of parts, then the offset and the length of each, a line for each number, up to a whole block. A last part
/// of nothing tells readers of old where the file ends.
fn sparse_map(segments: &[Segment], size: u64) -> Vec<u8> {
    let ends = segments.last().is_some_and(|last| last.offset + last.len == size);
    let end = (!ends).then_some(Segment { offset: size, len: 0 });
    let parts = segments.len() + usize::from(!ends);
    let mut map = format!("{parts}\n").into_bytes();
    for part in segments.iter().chain(&end) {
        map.extend_from_slice(format!("{}\n{}\n", part.offset, part.len).as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK as usize), 0);
    map
}

/// GNU tar's quoting of what would end a key.
fn quoted(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'=' => quoted.extend_from_slice(b"%3D"),
            b'%' => quoted.extend_from_slice(b"%25"),
            byte => quoted.push(byte),
        }
    }
    quoted
}

/// The records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    /// Adds a record. Its length counts its own digits.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let bare = key.len() + value.len() + 3;
        let mut len = bare + digits(bare);
        len = bare + digits(len);
        self.0.extend_from_slice(len.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// A header in the making.
struct Header {
    raw: [u8; BLOCK as usize],
}

impl Header {
    fn new() -> Self {
        let mut raw = [0; BLOCK as usize];
        raw[257..265].copy_from_slice(b"ustar\x0000");
        let mut header = Self { raw };
        header.number(124..136, 0);
        header
    }

    fn set_flag(&mut self, flag: u8) {
        self.raw[156] = flag;
    }

    /// A number of octal digits that fits into its field.
    fn number(&mut self, field: std::ops::Range<usize>, value: u64) {
        let digits = field.len() - 1;
        let text = format!("{value:0digits$o}\0");
        debug_assert_eq!(text.len(), field.len());
        self.raw[field].copy_from_slice(text.as_bytes());
    }

    fn owner(&mut self, field: std::ops::Range<usize>, key: &str, id: u32, records: &mut Records) {
        let fits = id <= 0o7_777_777;
        if !fits {
            records.add(key.as_bytes(), id.to_string().as_bytes());
        }
        self.number(field, if fits { id.into() } else { 0 });
    }

    fn size(&mut self, size: u64, records: &mut Records) {
        let fits = size <= 0o77_777_777_777;
        if !fits {
            records.add(b"size", size.to_string().as_bytes());
        }
        self.number(124..136, if fits { size } else { 0 });
    }

    fn time(&mut self, time: Timestamp, records: &mut Records) {
        let plain = u64::try_from(time.secs)
            .ok()
            .filter(|&secs| secs <= 0o77_777_777_777);
        if time.nanos > 0 || plain.is_none() {
            records.add(b"mtime", timestamp(time).as_bytes());
        }
        self.number(136..148, plain.unwrap_or(0));
    }

    fn name(&mut self, name: &[u8], records: &mut Records) {
        self.text(0..100, b"path", name, records);
    }

    fn target(&mut self, target: &[u8], records: &mut Records) {
        self.text(157..257, b"linkpath", target, records);
    }

    /// Names that are long or not ASCII go into a record.
    fn text(&mut self, field: std::ops::Range<usize>, key: &[u8], text: &[u8], records: &mut Records) {
        if text.len() <= field.len() && text.is_ascii() {
            self.raw[field.start..field.start + text.len()].copy_from_slice(text);
            return;
        }
        records.add(key, text);
        let mut plain: Vec<u8> = text
            .iter()
            .map(|byte| if byte.is_ascii() { *byte } else { b'_' })
            .collect();
        plain.truncate(field.len());
        self.raw[field.start..field.start + plain.len()].copy_from_slice(&plain);
    }

    fn sealed(mut self) -> [u8; BLOCK as usize] {
        self.raw[148..156].fill(b' ');
        let sum: u32 = self.raw.iter().map(|&byte| u32::from(byte)).sum();
        self.raw[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.raw
    }
}

/// Seconds with a fraction, which counts away from zero.
fn timestamp(time: Timestamp) -> String {
    let all = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let (sign, all) = if all < 0 { ("-", -all) } else { ("", all) };
    let text = format!("{sign}{}.{:09}", all / 1_000_000_000, all % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
