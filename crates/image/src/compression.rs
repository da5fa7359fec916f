//! Compressed streams, known by their first bytes and unpacked on a thread.

use std::io::{self, BufReader, Chain, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use crate::gzip::Members;

/// Bytes of a chunk, and how many there are: what a slow writer costs in memory. They are used again and again, which
/// keeps them in the processor's caches.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 8;

/// Bytes of input that are read at once.
const INPUT: usize = 256 << 10;

/// Who sees to it that what is unpacked is what was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The format, by the checksums that it has.
    Here,
    /// The caller, by a digest of what is unpacked.
    ByDigest,
}

/// The content of `stream`, unpacked by a thread of `scope`. The thread ends with the reader.
pub(crate) fn decompressed<'scope, R: Read + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: R,
    checked: Checked,
) -> io::Result<impl Read + use<R>> {
    let mut stream = BufReader::with_capacity(INPUT, stream);
    let mut magic = Vec::new();
    (&mut stream).take(6).read_to_end(&mut magic)?;
    let whole = Cursor::new(magic.clone()).chain(stream);
    let (full, filled) = sync_channel(CHUNKS);
    let (empty, emptied) = sync_channel(CHUNKS);
    for _ in 0..CHUNKS {
        // There is room for all of them.
        let _ = empty.send(Vec::new());
    }
    scope.spawn(move || match decoder(&magic, whole, checked) {
        Ok(unpacked) => forward(unpacked, &emptied, &full),
        Err(error) => drop(full.send(Err(error))),
    });
    Ok(Chunks {
        filled,
        empty,
        chunk: Cursor::new(Vec::new()),
    })
}

type Whole<R> = Chain<Cursor<Vec<u8>>, BufReader<R>>;

fn decoder<'a, R: Read + 'a>(
    magic: &[u8],
    whole: Whole<R>,
    checked: Checked,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match (magic, checked) {
        ([0x1f, 0x8b, ..], Checked::ByDigest) => Box::new(Members::new(whole)),
        ([0x1f, 0x8b, ..], Checked::Here) => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        ([0x28, 0xb5, 0x2f, 0xfd, ..], _) => Box::new(zstd::Decoder::with_buffer(whole)?),
        ([0xfd, b'7', b'z', b'X', b'Z', 0], _) => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(whole))
        }
        _ => Box::new(whole),
    })
}

fn forward(mut unpacked: impl Read, emptied: &Receiver<Vec<u8>>, to: &SyncSender<io::Result<Vec<u8>>>) {
    // When nobody reads any more, the import has failed.
    while let Ok(mut chunk) = emptied.recv() {
        // It was that long before, unless it is new or the last.
        chunk.resize(CHUNK, 0);
        let sent = match fill(&mut unpacked, &mut chunk) {
            Ok(0) => return,
            Ok(filled) => {
                chunk.truncate(filled);
                to.send(Ok(chunk))
            }
            Err(error) => return drop(to.send(Err(error))),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Fills `chunk`, less only at the end. Decoders work best with as much room as there is: each call of them costs a copy
/// of their window.
fn fill(from: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match from.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct Chunks {
    filled: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.chunk.read(buffer)? {
                0 if !buffer.is_empty() => match self.filled.recv() {
                    Ok(chunk) => {
                        let read = std::mem::replace(&mut self.chunk, Cursor::new(chunk?));
                        // The first is none of those, and makes one more; there is room for it, or nobody wants it.
                        let _ = self.empty.try_send(read.into_inner());
                    }
                    Err(_) => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}
