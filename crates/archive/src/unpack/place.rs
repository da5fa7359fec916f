//! The directories down to where an entry goes, each opened from the one above it and through no symbolic link. A
//! directory gets its mode and times when the archive leaves it, because writing into it needs the one and changes the
//! others; so no more is kept in mind than the archive is deep.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use banger_inode::Meta;
use rustix::fs::{AtFlags, Mode, mkdirat, statat, unlinkat};
use rustix::io::Errno;

use super::dir::{enter, hidden, remove_at, rename};
use super::{Destination, UnpackError, Unpacking, failed};
use crate::shown;

/// The longest name of an entry, as for Linux.
pub(super) const LONGEST: usize = 4096;

/// The deepest directory: each costs a descriptor.
pub(super) const DEEPEST: usize = 400;

pub(super) struct Place {
    base: Arc<File>,
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
    dir: Arc<File>,
    /// What it gets, if it is new or all is kept.
    meta: Option<Meta>,
}

/// A directory that the archive has left.
pub(super) struct Left {
    pub(super) dir: Arc<File>,
    /// Its name, for errors.
    pub(super) name: Vec<u8>,
}

/// Something that was made under a name of its own.
pub(super) struct Made {
    pub(super) dir: Arc<File>,
    pub(super) name: Vec<u8>,
    named: bool,
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.named {
            // Whatever went wrong is being told.
            let _ = unlinkat(&*self.dir, self.name.as_slice(), AtFlags::empty());
        }
    }
}

impl Place {
    pub(super) fn new(to: Destination, unpacking: &Unpacking) -> Self {
        Self {
            base: Arc::new(to.dir.into()),
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
    pub(super) fn here(&self) -> &Arc<File> {
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
        let here = Arc::clone(self.here());
        let made = mkdirat(&*here, name, Mode::RWXU);
        let is_new = made.is_ok();
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if self.replace && !is_directory(&here, name) {
                    remove_at(&here, name).map_err(failed("remove", &full))?;
                    mkdirat(&*here, name, Mode::RWXU).map_err(failed("make", &full))?;
                }
            }
            Err(error) => return Err(failed("make", &full)(error)),
        }
        let dir = enter(here.as_fd(), name).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => UnpackError::Through {
                entry: shown(&full),
                part: shown(name),
            },
            error => failed("open", &full)(error),
        })?;
        // One that the archive does not have is as `mkdir -p` would make it.
        let meta = meta.filter(|_| is_new || self.renew);
        if meta.is_none() && is_new {
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755)).map_err(failed("set the mode of", &full))?;
        }
        self.open.push(Open {
            name: name.to_vec(),
            dir: Arc::new(dir.into()),
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

    /// A directory below the destination, for looking into it.
    pub(super) fn open(&self, parts: &[&[u8]]) -> Result<Arc<File>, UnpackError> {
        let mut dir = Arc::clone(&self.base);
        for (index, part) in parts.iter().enumerate() {
            let full = parts[..=index].join(&b'/');
            let next = enter(dir.as_fd(), part).map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => UnpackError::Through {
                    entry: shown(&full),
                    part: shown(part),
                },
                error => failed("open", &full)(error),
            })?;
            dir = Arc::new(next.into());
        }
        Ok(dir)
    }

    /// Makes something under a name of its own.
    pub(super) fn node(
        &self,
        full: &[u8],
        make: impl Fn(&File, &[u8]) -> rustix::io::Result<()>,
    ) -> Result<Made, UnpackError> {
        let name = hidden().map_err(failed("name", full))?;
        make(self.here(), &name).map_err(failed("make", full))?;
        Ok(Made {
            dir: Arc::clone(self.here()),
            name,
            named: false,
        })
    }

    /// Gives it its name.
    pub(super) fn put(&self, mut made: Made, last: &[u8], full: &[u8]) -> Result<(), UnpackError> {
        rename(&made.dir, &made.name, last, self.replace).map_err(failed("write", full))?;
        // Renaming one name of a file to another one of it does nothing.
        let _ = unlinkat(&*made.dir, made.name.as_slice(), AtFlags::empty());
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

fn is_directory(dir: &File, name: &[u8]) -> bool {
    let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::Directory
    })
}
