//! The connection of a copy once it has switched to frames: read and written by one thread that blocks. A guest may have one
//! CPU.

use std::io::{self, Read, Write};

use banger_archive::pack::Sink;
use banger_guest_api::{Channel, Failure, FilesDone, FilesEnd, PayloadReader, PayloadWriter};
use bytes::Bytes;

use crate::socket::{Blocking, Socket};

/// What comes: the payload of standard input.
pub(crate) type In<'a> = PayloadReader<io::Chain<&'a [u8], &'a Blocking>>;

/// What goes: the payload of standard output.
pub(crate) struct Out<'a>(PayloadWriter<&'a Blocking>);

/// Takes over a connection whose client had already `sent` something, and does `work` on a thread of its own.
pub(crate) fn serve(
    socket: Socket,
    sent: Bytes,
    work: impl FnOnce(&mut In<'_>, &mut Out<'_>) -> Result<FilesDone, Failure> + Send + 'static,
) {
    let socket = match socket.into_blocking() {
        Ok(socket) => socket,
        Err(error) => return eprintln!("banger: failed to take over a connection: {error}"),
    };
    tokio::task::spawn_blocking(move || through(&Blocking(socket), &sent, work));
}

fn through(
    socket: &Blocking,
    sent: &[u8],
    work: impl FnOnce(&mut In<'_>, &mut Out<'_>) -> Result<FilesDone, Failure>,
) {
    let mut input = PayloadReader::new(sent.chain(socket), Channel::Stdin);
    let mut out = Out(PayloadWriter::new(socket, Channel::Stdout));
    let end = match work(&mut input, &mut out) {
        Ok(done) => FilesEnd::Done(done),
        Err(failure) => FilesEnd::Failed(failure),
    };
    let end = serde_json::to_vec(&end).expect("files end with JSON that has only string keys");
    // A client that has left needs no word.
    if out.0.end_with(&end).is_ok() {
        // One that is stopped in the middle of what it sends would not see it: what still comes is read and forgotten, until
        // it leaves.
        let _ = io::copy(&mut &*socket, &mut io::sink());
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Out<'_> {
    fn room(&mut self) -> io::Result<&mut [u8]> {
        Ok(self.0.room())
    }

    fn filled(&mut self, len: usize) -> io::Result<()> {
        self.0.filled(len)
    }
}
