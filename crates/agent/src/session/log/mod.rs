//! A session's output on the disk: segments of records, found by cursor.
//!
//! ```text
//!  log/00000000000000000000   [stream 1][length 4][time 8][bytes] [stream][length][time][bytes] …
//!  log/00000000000004194102   …                                    the name is the cursor of the first byte
//! ```
//!
//! A cursor counts bytes of output alone, of both streams. When a segment is full a new one begins, and the oldest ones
//! go as soon as all would take more than they may. Where the disk is full, the oldest go sooner; what cannot be kept at
//! all is skipped: the next segment then begins behind it, so that a reader sees what is missing.

mod read;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use banger_guest_api::Extent;
use banger_guest_api::OutputStream;
use rustix::io::Errno;

pub(super) use read::{Next, Reader};
use record::{HEADER, Header};

/// The most bytes of one record.
pub(super) const CHUNK: usize = 64 << 10;

/// A log has so many segments, and they are of this size at least and at most.
const SEGMENTS: u64 = 16;
const SMALLEST: u64 = 8 << 10;
const LARGEST: u64 = 4 << 20;

/// A log, with its writing end.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    /// The oldest first.
    segments: VecDeque<Segment>,
    /// The last segment, while it is written to.
    current: Option<File>,
    max: u64,
    end: u64,
    lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    /// The cursor of its first byte.
    start: u64,
    /// Bytes of the file.
    size: u64,
}

impl Log {
    /// A new log at `dir`, of at most `max` bytes.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn create(dir: &Path, max: u64) -> io::Result<Self> {
        std::fs::create_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            segments: VecDeque::new(),
            current: None,
            max,
            end: 0,
            lost: 0,
        })
    }

    /// The log of a session that has ended, to be read. A record that was not written whole is not of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(dir: &Path, max: u64, lost: u64) -> io::Result<Self> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if let Some(start) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                let size = entry.metadata()?.len();
                segments.push(Segment { start, size });
            }
        }
        segments.sort_by_key(|segment| segment.start);
        let mut log = Self {
            dir: dir.to_owned(),
            segments: segments.into(),
            current: None,
            max,
            end: 0,
            lost,
        };
        if let Some(last) = log.segments.back() {
            log.end = read::end_of(&log.path(last.start), last.start)?;
        }
        Ok(log)
    }

    /// What there is of it.
    pub(super) fn extent(&self) -> Extent {
        Extent {
            start: self.segments.front().map_or(self.end, |first| first.start),
            end: self.end,
            lost: self.lost,
            max: self.max,
        }
    }

    /// The cursor behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds output. What the disk does not take is counted as lost; the session goes on.
    pub(super) fn append(&mut self, stream: OutputStream, time_us: u64, mut bytes: &[u8]) {
        let most = CHUNK.min(self.segment_size() as usize - HEADER);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(most));
            if !self.keep(stream, time_us, now) {
                self.lost += now.len() as u64;
                self.leave_segment();
            }
            self.end += now.len() as u64;
            bytes = later;
        }
    }

    /// Brings it to the disk for good.
    pub(super) fn sync(&self) {
        if let Some(file) = &self.current {
            // A disk that cannot has said so to whoever wrote.
            let _ = file.sync_data();
        }
    }

    fn segment_size(&self) -> u64 {
        (self.max / SEGMENTS).clamp(SMALLEST, LARGEST)
    }

    /// Writes one record; false when there is no room even without all older ones.
    fn keep(&mut self, stream: OutputStream, time_us: u64, bytes: &[u8]) -> bool {
        let header = Header {
            stream,
            len: bytes.len() as u32,
            time_us,
        };
        loop {
            match self.write(&header.encode(), bytes) {
                Ok(()) => return true,
                Err(error) if is_full(&error) && self.segments.len() > 1 => self.drop_oldest(),
                Err(_) => return false,
            }
        }
    }

    /// Lets what comes next begin a segment, behind a gap.
    fn leave_segment(&mut self) {
        self.current = None;
        if let Some(last) = self.segments.pop_back_if(|last| last.size == 0) {
            // It would only be in the way.
            let _ = std::fs::remove_file(self.path(last.start));
        }
    }

    fn write(&mut self, header: &[u8; HEADER], bytes: &[u8]) -> io::Result<()> {
        let len = (HEADER + bytes.len()) as u64;
        let has_no_room = |last: &Segment| last.size > 0 && last.size + len > self.segment_size();
        if self.current.is_none() || self.segments.back().is_some_and(has_no_room) {
            self.begin(len)?;
        }
        let (Some(file), Some(last)) = (&self.current, self.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match write_whole(file, header, bytes) {
            Ok(()) => {
                last.size += len;
                Ok(())
            }
            Err(error) => {
                // A half of a record would hide what comes behind it.
                rustix::fs::ftruncate(file, last.size)?;
                Err(error)
            }
        }
    }

    /// Begins a segment, for a record of `len` bytes first, and makes room for it.
    fn begin(&mut self, len: u64) -> io::Result<()> {
        let wanted = self.segment_size().max(len);
        while self.segments.len() > 1 && self.size() + wanted > self.max {
            self.drop_oldest();
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path(self.end))?;
        self.current = Some(file);
        // One that was begun in vain has this very name.
        if self.segments.back().is_none_or(|last| last.start != self.end) {
            self.segments.push_back(Segment {
                start: self.end,
                size: 0,
            });
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            // Gone or not, nobody is led to it any more.
            let _ = std::fs::remove_file(self.path(oldest.start));
        }
    }

    fn path(&self, start: u64) -> PathBuf {
        self.dir.join(format!("{start:020}"))
    }
}

/// Whether an error says that older output could make room.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn write_whole(file: &File, header: &[u8], bytes: &[u8]) -> io::Result<()> {
    let mut written = loop {
        match rustix::io::writev(file, &[IoSlice::new(header), IoSlice::new(bytes)]) {
            Err(Errno::INTR) => {}
            written => break written?,
        }
    };
    while written < header.len() + bytes.len() {
        let rest = match written.checked_sub(header.len()) {
            Some(of_bytes) => &bytes[of_bytes..],
            None => &header[written..],
        };
        match rustix::io::write(file, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
