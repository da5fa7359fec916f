//! The content of a new regular file.

use std::io::{self, Read, Seek, SeekFrom, Write};

use banger_hostfs::Fresh;
use banger_inode::Segment;

use super::UnpackError;
use crate::shown;

/// Writes a part of it. Gives how many bytes that were.
pub(super) fn fill(
    fresh: &mut Fresh,
    part: Segment,
    content: &mut dyn Read,
    buffer: &mut [u8],
    full: &[u8],
    more: &mut dyn FnMut(&Fresh, u64) -> Result<(), UnpackError>,
) -> Result<u64, UnpackError> {
    let write = |source| UnpackError::File {
        what: "write",
        entry: shown(full),
        source,
    };
    fresh.file().seek(SeekFrom::Start(part.offset)).map_err(write)?;
    let mut left = part.len;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match content.read(&mut buffer[..want]) {
            Ok(0) => return Err(write(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // That the archive broke is told by its reader, in its own words.
            Err(error) => return Err(write(error)),
        };
        more(fresh, read as u64)?;
        fresh.file().write_all(&buffer[..read]).map_err(write)?;
        left -= read as u64;
    }
    Ok(part.len)
}
