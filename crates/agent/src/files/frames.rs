//! An answer of frames that a thread writes: bytes on standard output, and at the end one word of how it went.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use banger_guest_api::{Channel, Failure, FilesDone, FilesEnd, frame};
use bytes::Bytes;
use hyper::body;
use tokio::sync::mpsc;

use super::streamed;
use crate::server::Answer;

/// Bytes of one frame, header and all; a few are under way at most.
const CHUNK: usize = 256 << 10;
const AHEAD: usize = 4;

/// An answer whose bytes `work` writes, on a thread of its own.
pub(super) fn answer(work: impl FnOnce(&mut Out) -> Result<FilesDone, Failure> + Send + 'static) -> Answer {
    let (to, from) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut out = Out { frame: begun(), to };
        let end = match work(&mut out) {
            Ok(done) => FilesEnd::Done(done),
            Err(failure) => FilesEnd::Failed(failure),
        };
        // A client that has left needs no word.
        let _ = out.flush().and_then(|()| out.end(&end));
    });
    streamed(Body(from))
}

/// Standard output of the answer.
pub(super) struct Out {
    /// A frame in the making, with room for its header.
    frame: Vec<u8>,
    to: mpsc::Sender<Bytes>,
}

impl Out {
    fn end(&self, end: &FilesEnd) -> io::Result<()> {
        let json = serde_json::to_vec(end)?;
        self.send(frame::encode(Channel::Control, &json))
    }

    fn send(&self, frame: Vec<u8>) -> io::Result<()> {
        let sent = self.to.blocking_send(frame.into());
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the host takes no more"))
    }
}

fn begun() -> Vec<u8> {
    let mut frame = Vec::with_capacity(CHUNK);
    frame.resize(frame::HEADER, 0);
    frame
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let payload = self.frame.len() - frame::HEADER;
        if payload == 0 {
            return Ok(());
        }
        self.frame[..frame::HEADER].copy_from_slice(&frame::header(Channel::Stdout, payload));
        let frame = std::mem::replace(&mut self.frame, begun());
        self.send(frame)
    }
}

/// The frames as a body.
pub(super) struct Body(mpsc::Receiver<Bytes>);

impl body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<body::Frame<Bytes>>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(body::Frame::data(chunk))))
    }
}
