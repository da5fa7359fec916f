//! The directories down to where an entry goes, each opened from the one above it and through no symbolic link. A
//! directory gets its mode and times when the archive leaves it, because writing into it needs the one and changes the
//! others; so no more is kept in mind than the archive is deep.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use banger_hostfs::{Dir, Error as HostError, Fresh, Kind};
use banger_inode::Meta;
use rustix::io::Errno;

use super::error::hosted;
use super::{Destination, UnpackError, Unpacking};

/// The longest name of an entry, as for Linux.
pub(super) const LONGEST: usize = 4096;

/// The deepest directory: each costs a descriptor.
pub(super) const DEEPEST: usize = 400;

pub(super) struct Place {
    base: Arc<Dir>,
    /// What the destination itself gets, if it is new.
    is_new: bool,
    replace: bool,
    /// Whether directories that are there already get what the archive says of them.
    renew: bool,
    top: Option<Meta>,
    /// The directories that are open, outermost first.
    open: Vec<Open>,
}

struct Open {
    name: Vec<u8>,
    dir: Arc<Dir>,
    /// What it gets, if it is new or all is kept.
    meta: Option<Meta>,
}

/// A directory that the archive has left.
pub(super) struct Left {
    pub(super) dir: Arc<Dir>,
    /// Its name, for errors.
    pub(super) name: Vec<u8>,
}

/// Something that was made under a name of its own.
pub(super) struct Made {
    pub(super) dir: Arc<Dir>,
    pub(super) name: OsString,
    named: bool,
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.named {
            // Whatever went wrong is being told.
            let _ = self.dir.unlink(&self.name);
        }
    }
}

impl Place {
    pub(super) fn new(to: Destination, unpacking: &Unpacking) -> Self {
        Self {
            base: Arc::new(to.dir),
            is_new: to.is_new,
            replace: unpacking.replace,
            renew: unpacking.replace || unpacking.all,
            top: None,
            open: Vec::new(),
        }
    }

    /// What the archive says of the destination itself.
    pub(super) fn top(&mut self, meta: Meta) {
        if self.is_new || self.renew {
            self.top = Some(meta);
        }
    }

    /// The directory where we are.
    pub(super) fn here(&self) -> &Arc<Dir> {
        self.open.last().map_or(&self.base, |open| &open.dir)
    }

    /// Goes to the directory `parts`; what is missing of it is made. Gives the directories that were left.
    pub(super) fn enter(&mut self, parts: &[&[u8]]) -> Result<Vec<(Left, Meta)>, UnpackError> {
        let same = self
            .open
            .iter()
            .zip(parts)
            .take_while(|(open, part)| open.name == **part)
            .count();
        let left = self.leave_to(same);
        for part in &parts[same..] {
            self.step(part, None)?;
        }
        Ok(left)
    }

    /// Makes a directory where we are, and goes there.
    pub(super) fn directory(&mut self, name: &[u8], meta: Meta) -> Result<(), UnpackError> {
        self.step(name, Some(meta))
    }

    fn step(&mut self, name: &[u8], meta: Option<Meta>) -> Result<(), UnpackError> {
        let full = self.full(name);
        let part = OsStr::from_bytes(name);
        let here = Arc::clone(self.here());
        let made = here.make_dir(part, 0o700);
        let is_new = made.is_ok();
        match made {
            Ok(()) => {}
            Err(error) if error.errno() == Some(Errno::EXIST) => {
                if self.replace && !matches!(here.kind(part), Ok(Some(Kind::Directory))) {
                    here.remove(part).map_err(hosted(&full))?;
                    here.make_dir(part, 0o700).map_err(hosted(&full))?;
                }
            }
            Err(error) => return Err(hosted(&full)(error)),
        }
        let dir = here.dir(part).map_err(hosted(&full))?;
        // One that the archive does not have is as `mkdir -p` would make it.
        let meta = meta.filter(|_| is_new || self.renew);
        if meta.is_none() && is_new {
            let itself = dir.file_of_itself().map_err(hosted(&full))?;
            let mode = rustix::fs::Mode::from_raw_mode(0o755);
            let set = rustix::fs::fchmod(itself, mode);
            set.map_err(|errno| UnpackError::file("set the mode of", &full, errno.into()))?;
        }
        self.open.push(Open {
            name: name.to_vec(),
            dir: Arc::new(dir),
            meta,
        });
        Ok(())
    }

    fn full(&self, name: &[u8]) -> Vec<u8> {
        let mut full = Vec::new();
        for open in &self.open {
            full.extend_from_slice(&open.name);
            full.push(b'/');
        }
        full.extend_from_slice(name);
        full
    }

    /// The destination itself.
    pub(super) fn base(&self) -> &Dir {
        &self.base
    }

    /// The directory `parts` below the destination, for looking into it.
    pub(super) fn open(&self, parts: &[&[u8]]) -> Result<Dir, HostError> {
        let path: PathBuf = parts.iter().map(|part| OsStr::from_bytes(part)).collect();
        self.base.dir(path)
    }

    /// Makes something under a name of its own.
    pub(super) fn node(
        &self,
        full: &[u8],
        make: impl FnOnce(&Dir, &OsStr) -> Result<(), HostError>,
    ) -> Result<Made, UnpackError> {
        let name = Fresh::hidden_name().map_err(hosted(full))?;
        make(self.here(), &name).map_err(hosted(full))?;
        Ok(Made {
            dir: Arc::clone(self.here()),
            name,
            named: false,
        })
    }

    /// Gives it its name.
    pub(super) fn put(&self, mut made: Made, last: &[u8], full: &[u8]) -> Result<(), UnpackError> {
        let last = OsStr::from_bytes(last);
        made.dir
            .rename(&made.name, last, self.replace)
            .map_err(hosted(full))?;
        // Renaming one name of a file to another one of it does nothing.
        let _ = made.dir.unlink(&made.name);
        made.named = true;
        Ok(())
    }

    fn leave_to(&mut self, depth: usize) -> Vec<(Left, Meta)> {
        let mut left = Vec::new();
        while self.open.len() > depth {
            let Some(Open { name, dir, meta }) = self.open.pop() else {
                break;
            };
            if let Some(meta) = meta {
                let name = self.full(&name);
                left.push((Left { dir, name }, meta));
            }
        }
        left
    }

    /// Leaves all directories.
    pub(super) fn leave(&mut self) -> Vec<(Left, Meta)> {
        let mut left = self.leave_to(0);
        if let Some(meta) = self.top.take() {
            let dir = Arc::clone(&self.base);
            left.push((
                Left {
                    dir,
                    name: b".".to_vec(),
                },
                meta,
            ));
        }
        left
    }
}
