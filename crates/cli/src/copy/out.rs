//! A tar that is written on a thread, as the chunks of a request's body.

use std::io::{self, Write};

use banger_archive::pack::Sink;
use bytes::Bytes;
use tokio::sync::mpsc;

/// A part of a body, or why it is cut short.
pub(crate) type Chunk = io::Result<Bytes>;

/// Bytes of one chunk; a few are under way at most.
const CHUNK: usize = 256 << 10;

/// Chunks under way.
pub(super) const AHEAD: usize = 4;

/// Writes chunks.
pub(crate) struct Out {
    /// A chunk in the making, and how much of it is filled.
    chunk: Vec<u8>,
    len: usize,
    to: mpsc::Sender<Chunk>,
    sent: u64,
    count: Box<dyn Fn(u64) + Send>,
}

impl Out {
    pub(super) fn new(to: mpsc::Sender<Chunk>, count: impl Fn(u64) + Send + 'static) -> Self {
        Self {
            chunk: Vec::new(),
            len: 0,
            to,
            sent: 0,
            count: Box::new(count),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room()?;
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.filled(taken)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.len == 0 {
            return Ok(());
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.truncate(std::mem::take(&mut self.len));
        self.sent += chunk.len() as u64;
        let sent = self.to.blocking_send(Ok(chunk.into()));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the guest takes no more"))?;
        (self.count)(self.sent);
        Ok(())
    }
}

impl Sink for Out {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.chunk.is_empty() {
            self.chunk = vec![0; CHUNK];
        }
        Ok(&mut self.chunk[self.len..])
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        self.len += len;
        if self.len == self.chunk.len() {
            self.flush()
        } else {
            Ok(())
        }
    }
}
