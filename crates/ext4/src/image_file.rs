//! Reads and writes at offsets of the image's file, with errors that say where.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::Error;
use crate::layout::{BLOCK, BLOCK_BYTES};

/// Fills `buffer`; `false` if the file ends before.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<bool, Error> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(Error::ReadImage {
            offset,
            len: buffer.len(),
            source,
        }),
    }
}

/// Writes all of `bytes`.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> Result<(), Error> {
    file.write_all_at(bytes, offset)
        .map_err(|source| Error::WriteImage {
            offset,
            len: bytes.len(),
            source,
        })
}

/// The file's length in bytes.
pub(crate) fn length(file: &File) -> Result<u64, Error> {
    file.metadata()
        .map(|metadata| metadata.len())
        .map_err(|source| Error::GetLength { source })
}

/// Cuts or extends the file; what is added reads as zeros and takes no space.
pub(crate) fn set_length(file: &File, len: u64) -> Result<(), Error> {
    file.set_len(len)
        .map_err(|source| Error::SetLength { len, source })
}

/// Makes whole blocks read as zeros, and gives their space back where the host's file system can.
pub(crate) fn clear_blocks(file: &File, first: u64, count: u64) -> Result<(), Error> {
    let (offset, len) = (first * BLOCK_BYTES, count * BLOCK_BYTES);
    match fallocate(
        file,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        offset,
        len,
    ) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => {
            (first..first + count).try_for_each(|block| write_at(file, &[0; BLOCK], block * BLOCK_BYTES))
        }
        Err(error) => Err(Error::PunchImage {
            offset,
            len,
            source: error.into(),
        }),
    }
}

/// Waits until the file's content is on stable storage.
pub(crate) fn sync(file: &File) -> Result<(), Error> {
    file.sync_data().map_err(|source| Error::SyncImage { source })
}
