//! Sparse files in the four ways in which GNU tar has stored them.
//!
//! Source: the GNU tar manual, "Storing Sparse Files" and "Basic Tar Format". In the old way the map is in the header
//! and in blocks after it; in pax 0.0 and 0.1 it is in the extended header; in pax 1.0 it comes before the data.

use std::io::Read;

use banger_inode::Segment;

use super::Fault;
use super::decimal::decimal;
use super::header::{BLOCK, Format, Header, number};
use super::sparse_records::Records;
use super::stream::Stream;
use crate::EntryFault;

/// The most parts of one file: 4 GiB if every other block of it is a hole, and 16 MiB in memory.
const MOST: usize = 1 << 20;

/// Where in a header the old map begins, how many parts it has there and in a block of its own, and where each says
/// that another such block follows.
const OLD_MAP: (usize, usize, usize) = (386, 4, 482);
const OLD_MORE: (usize, usize, usize) = (0, 21, 504);

/// The file's real size in an old header.
const OLD_SIZE: std::ops::Range<usize> = 483..495;

/// A sparse file: its size, where its data belongs, and how many bytes of that are in the archive.
pub(super) struct Sparse {
    pub(super) size: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) stored: u64,
}

/// The sparse file of an old GNU entry. What follows of its map is read.
pub(super) fn old<R: Read>(stream: &mut Stream<R>, header: &Header, stored: u64) -> Result<Sparse, Fault> {
    // star uses the same flag for another form.
    if header.format() != Format::Gnu {
        let kind = "S, a sparse file in another form than GNU's";
        return Err(EntryFault::Kind(kind.to_owned()).into());
    }
    let no_number = || fault("its map of holes has an invalid number");
    let size = number(&header.raw()[OLD_SIZE]).ok_or_else(no_number)?;
    let size = u64::try_from(size).map_err(|_| no_number())?;
    let mut map = Vec::new();
    old_parts(header.raw(), OLD_MAP, &mut map).ok_or_else(no_number)?;
    let mut more = header.raw()[OLD_MAP.2] != 0;
    while more && map.len() <= 2 * MOST {
        let block = stream
            .block()?
            .ok_or_else(|| fault("its map of holes has no end"))?;
        old_parts(block.raw(), OLD_MORE, &mut map).ok_or_else(no_number)?;
        more = block.raw()[OLD_MORE.2] != 0;
    }
    Ok(checked(&map, size, stored)?)
}

fn old_parts(raw: &[u8], (at, parts, _): (usize, usize, usize), map: &mut Vec<u64>) -> Option<()> {
    for part in raw[at..at + parts * 24].chunks_exact(24) {
        // An unused part begins with NUL, as GNU and BSD tar and Go see it.
        if part[0] == 0 {
            break;
        }
        for field in [&part[..12], &part[12..]] {
            map.push(number(field)?.try_into().ok()?);
        }
    }
    Some(())
}

/// The sparse file of pax records, with `stored` bytes in the archive. If the map is there, it is read.
pub(super) fn pax<R: Read>(stream: &mut Stream<R>, records: &Records, stored: u64) -> Result<Sparse, Fault> {
    let size = records.size.unwrap_or(stored);
    match (&*records.major, &*records.minor) {
        // 0.0 and 0.1 need not say so.
        (b"0", b"0" | b"1") | (b"", b"") => Ok(checked(&records.map, size, stored)?),
        (b"1", b"0") => {
            stream.expect(stored);
            let mut read = 0;
            let map = map_before_data(&mut stream.content(stored), &mut read);
            stream.outcome::<crate::Error>(Ok(()))?;
            let map = map.ok_or_else(|| fault("its map of holes has an invalid number or no end"))?;
            Ok(checked(&map, size, stored - read)?)
        }
        (major, minor) => {
            let version = [major, b".", minor].concat();
            let kind = format!("sparse file of version {}", version.escape_ascii());
            Err(EntryFault::Kind(kind).into())
        }
    }
}

/// Decimal numbers with newlines, first of all how many parts there are, up to a whole number of blocks.
fn map_before_data(content: &mut impl Read, read: &mut u64) -> Option<Vec<u64>> {
    let mut block = [0; BLOCK as usize];
    let mut map = Vec::new();
    let mut wanted = None;
    let mut digits = Vec::new();
    loop {
        content.read_exact(&mut block).ok()?;
        *read += BLOCK;
        for &byte in &block {
            if byte != b'\n' {
                // No number has more than these.
                (digits.len() < 20).then_some(())?;
                digits.push(byte);
                continue;
            }
            let value = decimal(&digits)?;
            digits.clear();
            match wanted {
                None => wanted = Some(usize::try_from(value).ok().filter(|&parts| parts <= MOST)? * 2),
                Some(_) => map.push(value),
            }
            if wanted == Some(map.len()) {
                return Some(map);
            }
        }
    }
}

/// The segments of a map: in order, inside the file, and as many bytes as there are in the archive.
fn checked(map: &[u64], size: u64, stored: u64) -> Result<Sparse, EntryFault> {
    if map.len() > 2 * MOST {
        return Err(fault("it has too many holes"));
    }
    if !map.len().is_multiple_of(2) {
        return Err(fault("its map of holes has an odd number of numbers"));
    }
    let mut segments = Vec::with_capacity(map.len() / 2);
    let mut end = 0;
    let mut bytes = 0_u64;
    for part in map.chunks_exact(2) {
        let (offset, len) = (part[0], part[1]);
        let stop = offset.checked_add(len).filter(|&stop| stop <= size);
        match stop {
            Some(stop) if offset >= end => end = stop,
            _ => return Err(fault("its map of holes is out of order or out of range")),
        }
        bytes += len;
        if len > 0 {
            segments.push(Segment { offset, len });
        }
    }
    if bytes != stored {
        return Err(fault(&format!(
            "its map has {bytes} bytes of data, the archive {stored}"
        )));
    }
    Ok(Sparse {
        size,
        segments,
        stored,
    })
}

fn fault(what: &str) -> EntryFault {
    EntryFault::Header(what.to_owned())
}

#[cfg(test)]
mod tests;
