//! Compressed streams, known by their first bytes and unpacked on a thread, within a budget.

use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use liblzma::stream::{CONCATENATED, Stream};

use crate::budget::{Budget, Exceeded};
use crate::gzip::Members;

/// Bytes of a chunk, and how many there are: what a slow writer costs in memory. They are used again and again, which
/// keeps them in the processor's caches.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 8;

/// Bytes of input that are read at once.
const INPUT: usize = 256 << 10;

/// Bytes by which formats are known.
pub const MAGIC: u64 = 13;

/// Who sees to it that what is unpacked is what was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The format, by the checksums that it has.
    Here,
    /// The caller, by a digest of what is unpacked.
    ByDigest,
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
    /// xz.
    Xz,
    /// The format of before xz.
    Lzma,
    /// bzip2.
    Bzip2,
    /// In a way that is known by name alone.
    Unsupported(&'static str),
}

impl Format {
    /// The format of a stream that begins so.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one to be skipped (RFC 8878, 3.1.2), with which pzstd begins.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A level, and then the first block's mark or the end's.
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, b'r', b'E', ..] => Self::Bzip2,
            [0x1f, 0x9d, ..] => Self::Unsupported("compress (.Z)"),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Self::Unsupported("lz4"),
            [0x89, b'L', b'Z', b'O', 0, ..] => Self::Unsupported("lzop"),
            [b'L', b'Z', b'I', b'P', 0..=1, ..] => Self::Unsupported("lzip"),
            [b'P', b'K', 3, 4, ..] => Self::Unsupported("zip"),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Self::Unsupported("7z"),
            _ if is_lzma(magic) => Self::Lzma,
            _ => Self::Plain,
        }
    }
}

/// The format of before xz has no mark. As xz does, its three fields are asked whether an encoder would write them.
fn is_lzma(magic: &[u8]) -> bool {
    let Some(([properties, dictionary @ ..], size)) = magic.split_first_chunk::<5>() else {
        return false;
    };
    let Some(size) = size.first_chunk().copied().map(u64::from_le_bytes) else {
        return false;
    };
    let dictionary = u32::from_le_bytes(*dictionary);
    // 2^n or 2^n + 2^(n-1), at least 4096; or the largest.
    let half = dictionary & dictionary.wrapping_sub(1);
    let is_usual = dictionary == u32::MAX
        || dictionary >= 4096 && (half == 0 || half.is_power_of_two() && dictionary == half | half >> 1);
    *properties < 9 * 5 * 5 && is_usual && (size == u64::MAX || size < 256 << 30)
}

/// The content of `stream`, unpacked by a thread of `scope`. The thread ends with the reader.
pub fn decompressed<'scope, R: Read + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: R,
    checked: Checked,
    budget: Budget,
) -> io::Result<impl Read + use<R>> {
    let packed = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        from: stream,
        bytes: Arc::clone(&packed),
    };
    let mut stream = BufReader::with_capacity(INPUT, counted);
    let mut magic = Vec::new();
    (&mut stream).take(MAGIC).read_to_end(&mut magic)?;
    let format = Format::of(&magic);
    let whole = Cursor::new(magic).chain(stream);
    let (full, filled) = sync_channel(CHUNKS);
    let (empty, emptied) = sync_channel(CHUNKS);
    for _ in 0..CHUNKS {
        // There is room for all of them.
        let _ = empty.send(Vec::new());
    }
    scope.spawn(move || match decoder(format, whole, checked, &budget) {
        Ok(unpacked) => {
            // What is not packed is bounded by itself.
            let budget = (format != Format::Plain).then_some(budget);
            forward(unpacked, &emptied, &full, budget, &packed);
        }
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
    format: Format,
    whole: Whole<R>,
    checked: Checked,
    budget: &Budget,
) -> io::Result<Box<dyn Read + 'a>> {
    let window = budget.window;
    Ok(match format {
        Format::Plain => Box::new(whole),
        Format::Gzip => Box::new(Members::new(whole, checked == Checked::Here)),
        Format::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(whole)?;
            decoder.window_log_max(budget.window_log())?;
            Box::new(Windowed {
                from: decoder,
                window,
            })
        }
        Format::Xz => {
            let stream = Stream::new_stream_decoder(budget.dictionary(), CONCATENATED)?;
            let decoder = liblzma::bufread::XzDecoder::new_stream(whole, stream);
            Box::new(Windowed {
                from: decoder,
                window,
            })
        }
        Format::Lzma => {
            let stream = Stream::new_lzma_decoder(budget.dictionary())?;
            let decoder = liblzma::bufread::XzDecoder::new_stream(whole, stream);
            Box::new(Windowed {
                from: decoder,
                window,
            })
        }
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Format::Unsupported(name) => {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                format!(
                    "it is compressed with {name}, which is not supported; gzip, zstd, xz, lzma and bzip2 are"
                ),
            ));
        }
    })
}

/// Says of a decoder that refuses for its window that this is why.
struct Windowed<R> {
    from: R,
    window: u64,
}

impl<R: Read> Read for Windowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).map_err(|error| {
            let words = error.to_string();
            // liblzma's error is typed; zstd's is its name in words.
            let is_lzma = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref())
                .is_some_and(|error| matches!(error, liblzma::stream::Error::MemLimit));
            match is_lzma || words.contains("too much memory") {
                true => Exceeded::Window(self.window).into(),
                false => error,
            }
        })
    }
}

struct Counted<R> {
    from: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn forward(
    mut unpacked: impl Read,
    emptied: &Receiver<Vec<u8>>,
    to: &SyncSender<io::Result<Vec<u8>>>,
    budget: Option<Budget>,
    packed: &AtomicU64,
) {
    let mut all = 0_u64;
    // When nobody reads any more, the import has failed.
    while let Ok(mut chunk) = emptied.recv() {
        // It was that long before, unless it is new or the last.
        chunk.resize(CHUNK, 0);
        let filled = match fill(&mut unpacked, &mut chunk) {
            Ok(0) => return,
            Ok(filled) => filled,
            Err(error) => return drop(to.send(Err(error))),
        };
        all += filled as u64;
        if let Some(Err(exceeded)) = budget.map(|budget| budget.allows(packed.load(Ordering::Relaxed), all)) {
            return drop(to.send(Err(exceeded.into())));
        }
        chunk.truncate(filled);
        if to.send(Ok(chunk)).is_err() {
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
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
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

#[cfg(test)]
mod tests;
