//! A new regular file, which has no name until it is whole: what is interrupted leaves nothing, not even when it is killed.
//! Where the file system has no files without a name (overlayfs before Linux 6.3, NFS), it has a hidden one meanwhile, which
//! only a kill leaves behind.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use banger_inode::Segment;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, unlinkat};
use rustix::io::Errno;

use super::dir::{hidden, rename};
use super::{UnpackError, failed};
use crate::shown;

pub(super) struct Fresh {
    dir: Arc<File>,
    file: File,
    /// The name that it has meanwhile, where the file system has no files without one.
    hidden: Option<Vec<u8>>,
}

impl Fresh {
    pub(super) fn new(dir: &Arc<File>, full: &[u8]) -> Result<Self, UnpackError> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, hidden) = match openat(&**dir, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let name = hidden().map_err(failed("name", full))?;
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = openat(&**dir, name.as_slice(), flags, mode).map_err(failed("make", full))?;
                (file, Some(name))
            }
            Err(error) => return Err(failed("make", full)(error)),
        };
        Ok(Self {
            dir: Arc::clone(dir),
            file: file.into(),
            hidden,
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes a part of it. Gives how many bytes that were.
    pub(super) fn fill(
        &mut self,
        part: Segment,
        content: &mut dyn Read,
        buffer: &mut [u8],
        full: &[u8],
    ) -> Result<u64, UnpackError> {
        let write = |source| UnpackError::File {
            what: "write",
            entry: shown(full),
            source,
        };
        self.file.seek(SeekFrom::Start(part.offset)).map_err(write)?;
        let mut left = part.len;
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match content.read(&mut buffer[..want]) {
                Ok(0) => return Err(write(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // That the archive broke is told by its reader, in its own words.
                Err(error) => return Err(write(error)),
            };
            self.file.write_all(&buffer[..read]).map_err(write)?;
            left -= read as u64;
        }
        Ok(part.len)
    }

    /// Gives it its length, which a hole may end.
    pub(super) fn end(&mut self, size: u64, full: &[u8]) -> Result<(), UnpackError> {
        let set = self.file.set_len(size);
        set.map_err(|source| UnpackError::File {
            what: "write",
            entry: shown(full),
            source,
        })
    }

    /// Gives it its name; what had it before is replaced in that instant.
    pub(super) fn name(mut self, last: &[u8], replace: bool, full: &[u8]) -> Result<(), UnpackError> {
        if self.hidden.is_none() {
            let link = |name: &[u8]| {
                let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, itself, &*self.dir, name, AtFlags::SYMLINK_FOLLOW)
            };
            match link(last) {
                Ok(()) => return Ok(()),
                // Only renaming replaces.
                Err(Errno::EXIST) => {
                    let name = hidden().map_err(failed("name", full))?;
                    link(&name).map_err(failed("name", full))?;
                    self.hidden = Some(name);
                }
                Err(error) => return Err(failed("name", full)(error)),
            }
        }
        if let Some(name) = &self.hidden {
            rename(&self.dir, name, last, replace).map_err(failed("write", full))?;
        }
        self.hidden = None;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(name) = &self.hidden {
            // Whatever went wrong is being told.
            let _ = unlinkat(&*self.dir, name.as_slice(), AtFlags::empty());
        }
    }
}
