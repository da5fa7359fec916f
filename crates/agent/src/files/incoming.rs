//! A request's body for a thread that reads it: chunks are taken from the connection ahead of their use.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

/// Chunks that are held: a few hundred KiB each, at most.
const AHEAD: usize = 4;

/// The chunks of a body, as a reader that blocks.
pub(crate) struct Chunks {
    from: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Chunks {
    /// Begins to read a body. When the reader is dropped, what is left of the body is read and forgotten: a client that
    /// is stopped in the middle of its request would not see the answer.
    pub(crate) fn of(mut body: Incoming) -> Self {
        let (to, from) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            let _ = to.send(Ok(data)).await;
                        }
                    }
                    Err(error) => {
                        let _ = to.send(Err(io::Error::other(error))).await;
                        return;
                    }
                }
            }
        });
        Self {
            from,
            rest: Bytes::new(),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.from.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let taken = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}
