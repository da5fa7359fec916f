//! A tar that is written on a thread, as the chunks of a request's body.

use std::io::{self, Write};

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
    buffer: Vec<u8>,
    to: mpsc::Sender<Chunk>,
    sent: u64,
    count: Box<dyn Fn(u64) + Send>,
}

impl Out {
    pub(super) fn new(to: mpsc::Sender<Chunk>, count: impl Fn(u64) + Send + 'static) -> Self {
        Self {
            buffer: Vec::with_capacity(CHUNK),
            to,
            sent: 0,
            count: Box::new(count),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sent += chunk.len() as u64;
        let sent = self.to.blocking_send(Ok(chunk.into()));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the guest takes no more"))?;
        (self.count)(self.sent);
        Ok(())
    }
}
