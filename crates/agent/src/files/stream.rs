//! The connection of a copy once it has switched to frames: read and written by one thread that blocks, with buffers that are
//! used again. A guest may have one CPU, and a page fault may cost it more than a copy of the page.

use std::io::{self, BufReader, Read, Write};

use banger_archive::pack::Sink;
use banger_guest_api::{Channel, Failure, FilesDone, FilesEnd, frame};
use bytes::Bytes;

use crate::socket::{Blocking, Socket};

/// Bytes of one frame, header and all.
const CHUNK: usize = 256 << 10;

/// What small reads are made of; large ones go past it.
const SMALL: usize = 32 << 10;

/// Takes over a connection whose client had already `sent` something, and does `work` on a thread of its own.
pub(super) fn serve(
    socket: Socket,
    sent: Bytes,
    work: impl FnOnce(&mut In<'_>, &mut Out<'_>) -> Result<FilesDone, Failure> + Send + 'static,
) {
    let socket = match socket.into_blocking() {
        Ok(socket) => socket,
        Err(error) => return eprintln!("banger: take over a connection: {error}"),
    };
    tokio::task::spawn_blocking(move || through(&Blocking(socket), &sent, work));
}

fn through(
    socket: &Blocking,
    sent: &[u8],
    work: impl FnOnce(&mut In<'_>, &mut Out<'_>) -> Result<FilesDone, Failure>,
) {
    let from = Box::new(sent.chain(socket));
    let mut input = In {
        from: BufReader::with_capacity(SMALL, from),
        left: 0,
        ended: false,
    };
    let mut out = Out {
        frame: vec![0; CHUNK],
        len: 0,
        to: socket,
    };
    let end = match work(&mut input, &mut out) {
        Ok(done) => FilesEnd::Done(done),
        Err(failure) => FilesEnd::Failed(failure),
    };
    // A client that has left needs no word.
    if out.flush().and_then(|()| out.end(&end)).is_ok() {
        // One that is stopped in the middle of what it sends would not see it: what still comes is read and forgotten, until
        // it leaves.
        let _ = io::copy(&mut &*socket, &mut io::sink());
    }
}

/// What comes: the payload of frames of standard input, up to an empty one.
pub(super) struct In<'a> {
    from: BufReader<Box<dyn Read + 'a>>,
    /// Of the frame that has begun.
    left: usize,
    ended: bool,
}

impl Read for In<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.ended {
            let mut header = [0; frame::HEADER];
            self.from.read_exact(&mut header)?;
            let [channel, a, b, c, d] = header;
            self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            if channel != Channel::Stdin as u8 || self.left > frame::MAX_PAYLOAD {
                return Err(io::Error::other(
                    "what the host sends is no frame of standard input",
                ));
            }
            self.ended = self.left == 0;
        }
        let want = buffer.len().min(self.left);
        // Even a read of nothing would wait for what comes next.
        if want == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

/// What goes, as frames of standard output.
pub(super) struct Out<'a> {
    /// A frame in the making, with room for its header, and how much of its payload is filled.
    frame: Vec<u8>,
    len: usize,
    to: &'a Blocking,
}

impl Out<'_> {
    fn end(&mut self, end: &FilesEnd) -> io::Result<()> {
        let json = serde_json::to_vec(end)?;
        (&mut &*self.to).write_all(&frame::encode(Channel::Control, &json))
    }
}

impl Write for Out<'_> {
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
        let payload = std::mem::take(&mut self.len);
        self.frame[..frame::HEADER].copy_from_slice(&frame::header(Channel::Stdout, payload));
        (&mut &*self.to).write_all(&self.frame[..frame::HEADER + payload])
    }
}

impl Sink for Out<'_> {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        Ok(&mut self.frame[frame::HEADER + self.len..])
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        self.len += len;
        if frame::HEADER + self.len == self.frame.len() {
            self.flush()
        } else {
            Ok(())
        }
    }
}
