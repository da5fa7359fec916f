//! When the lines of a console log were written: a file beside the log, so that the log is the guest's bytes and nothing else.
//!
//! A mark is a line of text, `OFFSET MILLISECONDS`: what begins at that byte of the log was read at that time since the epoch. Only
//! beginnings of lines are marked, and at most one in [`APART`]; a line without a mark of its own has the time of the mark before
//! it. Lines that were logged before there were marks have no time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long after a mark there is no other.
const APART: Duration = Duration::from_millis(10);

/// Marks in one file. Each has some twenty bytes.
pub(super) const MOST: u64 = 8192;

/// The file with the times of a log.
pub(super) fn beside(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".times");
    path.into()
}

/// Writes the marks of a log.
#[derive(Debug)]
pub(super) struct Marks {
    file: io::Result<File>,
    /// How many there are, as far as they were written by this process.
    pub(super) count: u64,
    last: Option<Instant>,
    is_in_line: bool,
}

impl Marks {
    pub(super) fn of(log: &Path) -> Self {
        Self {
            file: super::open(&beside(log)),
            count: 0,
            last: None,
            is_in_line: false,
        }
    }

    /// Those of the log that goes on after this one, which was moved. A line may go on in it.
    pub(super) fn of_next(&self, log: &Path) -> Self {
        Self {
            is_in_line: self.is_in_line,
            ..Self::of(log)
        }
    }

    /// Takes note of bytes that go to the log at `offset`. A mark that cannot be written is left out.
    pub(super) fn note(&mut self, bytes: &[u8], offset: u64) {
        let begins_at = match self.is_in_line {
            false => Some(0),
            // The next line, if it begins in these bytes.
            true => bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|end| end + 1)
                .filter(|at| *at < bytes.len()),
        };
        self.is_in_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        let Some(at) = begins_at else { return };
        if self.last.is_some_and(|last| last.elapsed() < APART) {
            return;
        }
        self.last = Some(Instant::now());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mark = format!(
            "{} {}\n",
            offset + at as u64,
            since.unwrap_or_default().as_millis()
        );
        if let Ok(file) = &mut self.file
            && file.write_all(mark.as_bytes()).is_ok()
        {
            self.count += 1;
        }
    }
}

/// The times of a log, as far as they are known.
#[derive(Debug, Default)]
pub struct Times(Vec<(u64, i64)>);

impl Times {
    /// Those of the log at this path. What cannot be read is not known.
    pub fn of_log(log: &Path) -> Self {
        let text = std::fs::read_to_string(beside(log)).unwrap_or_default();
        let marks = text.lines().filter_map(|mark| {
            let (offset, millis) = mark.split_once(' ')?;
            Some((offset.parse().ok()?, millis.parse().ok()?))
        });
        Self(marks.collect())
    }

    /// Adds those of a log that goes on at `offset`.
    pub fn append(&mut self, offset: u64, more: &Self) {
        let more = more.0.iter();
        self.0.extend(more.map(|(at, time)| (offset + at, *time)));
    }

    /// When the line that begins at `offset` was written, in milliseconds since the epoch.
    pub fn at(&self, offset: u64) -> Option<i64> {
        let after = self.0.partition_point(|(at, _)| *at <= offset);
        self.0[..after].last().map(|(_, time)| *time)
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
