//! The bytes of a file, and how many there are. A file system may say less or more than the file has: those of the kernel do
//! (`/proc` says nothing, `/sys` a page). So what is small, or says nothing believable, is read before its size is written.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_inode::Segment;
use rustix::fs::{PROC_SUPER_MAGIC, SeekFrom as Hole, fstatfs, seek};

use super::PackError;

/// More holes than readers take; such a file goes whole.
const MOST_PARTS: usize = 1 << 20;

/// A file of that size is read first.
const SMALL: u64 = 64 << 10;

/// So much is read of one whose size is not believed.
const MADE_UP: u64 = 64 << 20;

/// What of a file goes.
pub(super) struct Content {
    file: File,
    size: u64,
    segments: Vec<Segment>,
    /// What was read already: the first bytes of the only segment.
    ahead: io::Cursor<Vec<u8>>,
    next: usize,
    left: u64,
    pad: bool,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Shorter,
    Read,
}

/// Whether a file's size says nothing: it has no blocks that hold content.
pub(super) fn is_made_up(metadata: &Metadata) -> bool {
    metadata.len() == 0 || metadata.blocks() == 0
}

impl Content {
    pub(super) fn of(file: File, metadata: &Metadata, pad: bool, path: &Path) -> Result<Self, PackError> {
        let said = metadata.len();
        let segments = parts(&file, metadata);
        let segments = segments.map_err(|source| PackError::file("look for holes in", path, source))?;
        let mut content = Self {
            file,
            size: said,
            segments,
            ahead: io::Cursor::default(),
            next: 0,
            left: 0,
            pad,
            fault: None,
        };
        let is_whole = said == 0 || content.segments == whole(said);
        let made_up = is_made_up(metadata);
        if made_up && said > MADE_UP && is_whole && is_procs(&content.file) {
            // The memory of the whole machine, which has no end.
            let path = path.to_owned();
            return Err(PackError::Endless { path, most: MADE_UP });
        }
        if is_whole && (said <= SMALL || made_up && said <= MADE_UP) {
            content.read_ahead(made_up, path)?;
        }
        Ok(content)
    }

    fn read_ahead(&mut self, made_up: bool, path: &Path) -> Result<(), PackError> {
        let most = if made_up { MADE_UP } else { self.size };
        let failed = |source| PackError::file("read", path, source);
        let mut ahead = Vec::new();
        let read = (&self.file).take(most).read_to_end(&mut ahead).map_err(failed)? as u64;
        if made_up && read == most {
            // A file that grew meanwhile says so by now, and is cut where it ended.
            let now = self.file.metadata().map_err(failed)?.len();
            if now < read {
                let path = path.to_owned();
                return Err(PackError::Endless { path, most });
            }
        }
        self.size = read;
        self.segments = whole(read);
        self.ahead = io::Cursor::new(ahead);
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many bytes go, without holes.
    pub(super) fn stored(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    pub(super) fn is_shorter(&mut self) {
        self.fault = Some(Fault::Shorter);
    }
}

fn is_procs(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
}

fn whole(size: u64) -> Vec<Segment> {
    match size {
        0 => Vec::new(),
        len => vec![Segment { offset: 0, len }],
    }
}

/// The parts of a file that are not holes.
fn parts(mut file: &File, metadata: &Metadata) -> io::Result<Vec<Segment>> {
    let size = metadata.len();
    if metadata.blocks().saturating_mul(512) >= size {
        return Ok(whole(size));
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(file, Hole::Data(at)) {
            Ok(offset) => offset,
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::SPIPE) => return Ok(whole(size)),
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, Hole::Hole(offset))?.min(size);
        if offset >= end || parts.len() == MOST_PARTS - 1 {
            // It changes under our hands, or is more hole than file.
            parts = whole(size);
            break;
        }
        parts.push(Segment {
            offset,
            len: end - offset,
        });
        at = end;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(parts)
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.position() < self.ahead.get_ref().len() as u64 {
            return self.ahead.read(buffer);
        }
        if !self.ahead.get_ref().is_empty() {
            return Ok(0);
        }
        while self.left == 0 {
            let Some(segment) = self.segments.get(self.next) else {
                return Ok(0);
            };
            self.next += 1;
            self.left = segment.len;
            self.file
                .seek(SeekFrom::Start(segment.offset))
                .inspect_err(|_| self.fault = Some(Fault::Read))?;
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = match self.file.read(&mut buffer[..want]) {
            Ok(0) if want > 0 && self.pad => {
                buffer[..want].fill(0);
                want
            }
            Ok(0) if want > 0 => {
                self.is_shorter();
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(read) => read,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.fault = Some(Fault::Read);
                }
                return Err(error);
            }
        };
        self.left -= read as u64;
        Ok(read)
    }
}
