//! Reading a log from a cursor on, at the reader's own pace.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use banger_guest_api::OutputStream;

use super::record::{HEADER, Header};
use super::{Log, Segment};

/// Bytes of a segment that are read at once: records may be short, and a system call costs more than they do.
const WINDOW: usize = 64 << 10;

/// A place in a log.
///
/// It holds the segment that it is in open, so that the segment is read to its end even if it is rotated away meanwhile.
#[derive(Debug)]
pub(crate) struct Reader {
    cursor: u64,
    open: Option<Open>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Output, which was put into the buffer.
    Output {
        stream: OutputStream,
        cursor: u64,
        time_us: u64,
        len: usize,
    },
    /// So many bytes are gone.
    Gap(u64),
    /// Nothing is there yet.
    End,
}

#[derive(Debug)]
struct Open {
    file: File,
    start: u64,
    /// Where the next header or, with some of `left`, the next output is in the file.
    at: u64,
    /// What is left of the record that the reader is in.
    left: u32,
    stream: OutputStream,
    time_us: u64,
    /// How large the file was when it was last asked for.
    size: u64,
    /// A part of it, and where that is.
    window: Vec<u8>,
    window_at: u64,
}

impl Reader {
    /// A reader at a cursor.
    pub(crate) fn at(cursor: u64) -> Self {
        Self { cursor, open: None }
    }

    /// The cursor of what comes next.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Reads on: at most `buffer`, and of one record.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn next(&mut self, log: &Log, buffer: &mut [u8]) -> io::Result<Next> {
        loop {
            if self.cursor >= log.end {
                return Ok(Next::End);
            }
            let Some(open) = &mut self.open else {
                match self.enter(log)? {
                    Some(gap) => return Ok(gap),
                    None => continue,
                }
            };
            if open.left == 0 && !open.read_header()? {
                // The end of a segment; the next one begins at this cursor, or behind a gap.
                let after = open.start;
                self.open = None;
                let Some(next) = log.segments.iter().find(|segment| segment.start > after) else {
                    return Ok(self.skip_to(log.end));
                };
                if next.start > self.cursor {
                    return Ok(self.skip_to(next.start));
                }
                continue;
            }
            let wanted = buffer.len().min(open.left as usize);
            let there = open.peek(1)?;
            let read = there.len().min(wanted);
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[..read].copy_from_slice(&there[..read]);
            let output = Next::Output {
                stream: open.stream,
                cursor: self.cursor,
                time_us: open.time_us,
                len: read,
            };
            open.at += read as u64;
            open.left -= read as u32;
            self.cursor += read as u64;
            return Ok(output);
        }
    }

    fn skip_to(&mut self, cursor: u64) -> Next {
        let gap = cursor - self.cursor;
        self.cursor = cursor;
        Next::Gap(gap)
    }

    /// Opens the segment that the cursor is in; says how much is gone when it is before the first.
    fn enter(&mut self, log: &Log) -> io::Result<Option<Next>> {
        let at = log
            .segments
            .partition_point(|segment| segment.start <= self.cursor);
        let Some(&Segment { start, .. }) = at.checked_sub(1).and_then(|at| log.segments.get(at)) else {
            let first = log.segments.front().map_or(log.end, |first| first.start);
            return Ok(Some(self.skip_to(first)));
        };
        let mut open = Open::new(&log.path(start), start)?;
        open.seek(self.cursor)?;
        self.open = Some(open);
        Ok(None)
    }
}

impl Open {
    fn new(path: &Path, start: u64) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            start,
            at: 0,
            left: 0,
            stream: OutputStream::Stdout,
            time_us: 0,
            size: 0,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// What comes next in the file: `least` bytes, or more, or fewer where it ends.
    fn peek(&mut self, least: usize) -> io::Result<&[u8]> {
        let inside = self.at.checked_sub(self.window_at).map(|inside| inside as usize);
        let inside = inside.filter(|inside| inside + least <= self.window.len());
        if let Some(inside) = inside {
            return Ok(&self.window[inside..]);
        }
        self.window.resize(WINDOW, 0);
        let filled = self.file.read_at(&mut self.window, self.at)?;
        self.window.truncate(filled);
        self.window_at = self.at;
        Ok(&self.window)
    }

    /// Enters the next record, if there is one.
    fn read_header(&mut self) -> io::Result<bool> {
        let header = self.peek(HEADER)?.first_chunk();
        let Some(header) = header.and_then(Header::decode) else {
            return Ok(false);
        };
        // One that is not whole is none.
        let end = self.at + (HEADER as u64) + u64::from(header.len);
        if self.size < end {
            self.size = self.file.metadata()?.len();
        }
        if self.size < end {
            return Ok(false);
        }
        self.enter(header);
        Ok(true)
    }

    fn enter(&mut self, header: Header) {
        self.at += HEADER as u64;
        self.left = header.len;
        self.stream = header.stream;
        self.time_us = header.time_us;
    }

    /// Goes to the record that `cursor` is in, or to the end. Gives the cursor that it came to.
    fn seek(&mut self, cursor: u64) -> io::Result<u64> {
        let mut reached = self.start;
        while reached < cursor && self.read_header()? {
            let skipped = u64::from(self.left).min(cursor - reached);
            self.at += skipped;
            self.left -= skipped as u32;
            reached += skipped;
        }
        Ok(reached)
    }
}

/// The cursor behind the last whole record of a segment.
pub(super) fn end_of(path: &Path, start: u64) -> io::Result<u64> {
    Open::new(path, start)?.seek(u64::MAX)
}
