//! The archive as blocks: headers, what belongs to them, and content, read strictly forward.

use std::io::{self, ErrorKind, Read};

use super::header::{BLOCK, Header};
use super::pax::Records;
use crate::Error;

/// The longest extended header or long name: Go's `archive/tar` has the same limit, and Linux takes neither names nor
/// attributes that would need more.
const LONGEST: u64 = 1 << 20;

/// How much unwanted content is read at once.
const SKIPPED: usize = 64 << 10;

/// An archive that is being read.
pub(super) struct Stream<R> {
    from: R,
    /// Entries so far, for errors.
    pub(super) entries: u64,
    /// Bytes before the next header: content that nobody read, and the padding after it.
    pending: u64,
    started: bool,
    /// Whether an archive without its end mark is truncated.
    marked: bool,
    /// Why content could not be read, if so: the reader of content may have made another error of it.
    broken: Option<Broken>,
    /// What global headers said so far.
    pub(super) global: Records,
    scratch: Box<[u8]>,
}

enum Broken {
    Ended,
    Failed(io::Error),
}

impl<R: Read> Stream<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            entries: 0,
            pending: 0,
            started: false,
            marked: true,
            broken: None,
            global: Records::default(),
            scratch: vec![0; SKIPPED].into(),
        }
    }

    /// An archive whose end mark may be missing.
    pub(super) fn unmarked(from: R) -> Self {
        Self {
            marked: false,
            ..Self::new(from)
        }
    }

    /// What is wrong with the archive here.
    pub(super) fn damaged(&self, fault: impl Into<String>) -> Error {
        Error::Archive {
            entries: self.entries,
            source: io::Error::new(ErrorKind::InvalidData, fault.into()),
        }
    }

    fn truncated(&self) -> Error {
        Error::Truncated {
            entries: self.entries,
        }
    }

    /// The next header, or nothing at the end mark. That is two blocks of zeros, of which some writers leave out the
    /// second. What follows a lone one would be lost silently (GNU tar warns and stops), so it is refused, as Go does.
    pub(super) fn header(&mut self) -> Result<Option<Header>, Error> {
        let Some(header) = self.block()? else {
            // Nothing at all is an archive without entries, and the importer's to judge.
            return if self.started && self.marked {
                Err(self.truncated())
            } else {
                Ok(None)
            };
        };
        self.started = true;
        if !header.is_zero() {
            return header.checked().map(Some).map_err(|fault| self.damaged(fault));
        }
        match self.block()? {
            Some(second) if !second.is_zero() => {
                Err(self.damaged("an entry follows a lone block of zeros, where the archive should end"))
            }
            _ => Ok(None),
        }
    }

    /// The next block, or nothing if the archive has no more.
    pub(super) fn block(&mut self) -> Result<Option<Header>, Error> {
        while self.pending > BLOCK {
            let len = (self.pending - 1).min(SKIPPED as u64) as usize;
            if self.fill(len)? < len {
                return Err(self.truncated());
            }
            self.pending -= len as u64;
        }
        // Padding and header come with one call.
        let padding = self.pending as usize;
        self.pending = 0;
        let wanted = padding + BLOCK as usize;
        let read = self.fill(wanted)?;
        if read == padding {
            return Ok(None);
        }
        let block = self.scratch[padding..wanted].try_into();
        match block {
            Ok(raw) if read == wanted => Ok(Some(Header::new(raw))),
            _ => Err(self.truncated()),
        }
    }

    /// What a header for the next header holds, such as pax records or a long name.
    pub(super) fn special(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let size = header.size().map_err(|fault| self.damaged(fault.to_string()))?;
        if size > LONGEST {
            return Err(self.damaged(format!(
                "an extended header has {size} bytes, more than {LONGEST}"
            )));
        }
        self.expect(size);
        let mut bytes = Vec::with_capacity(size as usize);
        let read = self.content(size).read_to_end(&mut bytes);
        self.outcome::<Error>(Ok(()))?;
        read.map_err(|source| self.failed(source))?;
        Ok(bytes)
    }

    /// Says that `size` bytes of content follow, 2^63 - 1 at most.
    pub(super) fn expect(&mut self, size: u64) {
        self.pending = size.next_multiple_of(BLOCK);
    }

    /// The content that is expected: `len` bytes. What is left unread is passed over later.
    pub(super) fn content(&mut self, len: u64) -> Content<'_, R> {
        Content {
            stream: self,
            left: len,
        }
    }

    /// The outcome of a use of content: that the archive broke meanwhile comes before anything else.
    pub(super) fn outcome<E: From<Error>>(&mut self, used: Result<(), E>) -> Result<(), E> {
        match self.broken.take() {
            None => used,
            Some(Broken::Ended) => Err(self.truncated().into()),
            Some(Broken::Failed(source)) => Err(self.failed(source).into()),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Archive {
            entries: self.entries,
            source,
        }
    }

    /// Reads `len` bytes to the front of `scratch`, less only at the archive's end.
    fn fill(&mut self, len: usize) -> Result<usize, Error> {
        let mut at = 0;
        while at < len {
            match self.from.read(&mut self.scratch[at..len]) {
                Ok(0) => break,
                Ok(read) => at += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(at)
    }
}

/// The content of one entry.
pub(super) struct Content<'a, R> {
    stream: &'a mut Stream<R>,
    left: u64,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        match self.stream.from.read(&mut buffer[..len]) {
            Ok(0) => {
                self.stream.broken = Some(Broken::Ended);
                Err(ErrorKind::UnexpectedEof.into())
            }
            Ok(read) => {
                self.left -= read as u64;
                self.stream.pending -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told = error.kind().into();
                self.stream.broken = Some(Broken::Failed(error));
                Err(told)
            }
        }
    }
}
