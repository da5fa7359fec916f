//! Gathers blocks for consecutive places into large writes.

use std::fs::File;
use std::sync::Arc;

use crate::image_file::write_at;
use crate::layout::{BLOCK, BLOCK_BYTES};
use crate::{Error, Room};

/// Blocks gathered before a write: 256 KiB, which still lies in the processor's second-level cache.
const PENDING_BLOCKS: usize = 64;

/// Where all blocks of an image go.
pub(crate) struct BlockSink {
    file: Arc<File>,
    /// Is asked before each write.
    room: Option<Room>,
    pending: Vec<u8>,
    /// Block that the first pending one belongs to.
    start: u64,
    /// How many are pending.
    filled: usize,
}

impl BlockSink {
    pub(crate) fn new(file: Arc<File>, room: Option<Room>) -> Self {
        Self {
            file,
            room,
            pending: vec![0; PENDING_BLOCKS * BLOCK],
            start: 0,
            filled: 0,
        }
    }

    /// Another sink for the same file.
    pub(crate) fn beside(&self) -> Self {
        Self::new(Arc::clone(&self.file), self.room.clone())
    }

    /// The file below; what is pending is not in it before [`flush`](Self::flush).
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The next block goes to `block`.
    pub(crate) fn seek(&mut self, block: u64) -> Result<(), Error> {
        if block != self.start + self.filled as u64 {
            self.flush()?;
            self.start = block;
        }
        Ok(())
    }

    /// Room for at least one block, to be filled from the start and then [accepted](Self::accept). Its content is
    /// arbitrary.
    pub(crate) fn room(&mut self) -> Result<&mut [u8], Error> {
        if self.filled == PENDING_BLOCKS {
            self.flush()?;
        }
        Ok(&mut self.pending[self.filled * BLOCK..])
    }

    /// The first `blocks` of the room are content now.
    pub(crate) fn accept(&mut self, blocks: usize) {
        self.filled += blocks;
    }

    /// Writes whole blocks to `block` and after.
    pub(crate) fn put(&mut self, block: u64, bytes: &[u8]) -> Result<(), Error> {
        debug_assert_eq!(bytes.len() % BLOCK, 0);
        self.seek(block)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room()?;
            let len = room.len().min(rest.len());
            room[..len].copy_from_slice(&rest[..len]);
            self.accept(len / BLOCK);
            rest = &rest[len..];
        }
        Ok(())
    }

    /// Writes what is pending.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.filled > 0 {
            let bytes = &self.pending[..self.filled * BLOCK];
            let offset = self.start * BLOCK_BYTES;
            if let Some(room) = &self.room {
                room(bytes.len() as u64).map_err(|source| Error::WriteImage {
                    offset,
                    len: bytes.len(),
                    source,
                })?;
            }
            write_at(&self.file, bytes, offset)?;
            self.start += self.filled as u64;
            self.filled = 0;
        }
        Ok(())
    }
}

impl std::fmt::Debug for BlockSink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BlockSink")
            .field("start", &self.start)
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_written() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let left = AtomicU64::new(PENDING_BLOCKS as u64 * BLOCK_BYTES);
        let room: Room = Arc::new(move |bytes| {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
            taken.map(drop).map_err(|_| io::ErrorKind::StorageFull.into())
        });
        // Both sinks have the same room.
        let mut sink = BlockSink::new(Arc::clone(&file), Some(room));
        let mut beside = sink.beside();
        let blocks = vec![7; PENDING_BLOCKS * BLOCK];
        sink.put(0, &blocks).unwrap();
        sink.flush().unwrap();
        beside.put(PENDING_BLOCKS as u64, &blocks).unwrap();
        let refused = beside.flush().unwrap_err();
        assert!(refused.is_full(), "{refused}");
        assert_eq!(file.metadata().unwrap().len(), blocks.len() as u64);
    }
}
