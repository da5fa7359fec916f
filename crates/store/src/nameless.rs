//! Files that get their name when they are whole.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat_with};
use rustix::io::Errno;

use crate::error::Error;
use crate::files::{OfFile, make_file, random_id};

/// A file that is being written. It has no name until it is whole, so whoever is killed meanwhile leaves nothing; only a file system
/// that has no such files gives it a hidden one, which goes when this is dropped.
#[derive(Debug)]
pub struct Nameless {
    file: File,
    dir: PathBuf,
    hidden: Option<PathBuf>,
}

impl Nameless {
    /// A new one in `dir`, for its owner alone.
    pub fn begin(dir: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        let (file, hidden) = match openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => (file.into(), None),
            Err(_) => {
                let path = hidden_in(dir)?;
                (make_file(&path)?, Some(path))
            }
        };
        Ok(Self {
            file,
            dir: dir.to_owned(),
            hidden,
        })
    }

    /// Removes the hidden files of this kind in `dir`, which only who was killed leaves. Whoever calls this keeps others from writing
    /// there meanwhile.
    pub fn sweep(dir: &Path) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix('.'));
            let id = id.and_then(|name| name.strip_suffix(HIDDEN_END));
            if id.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// The file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// The file, to be written.
    pub const fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name. With `replace`, what has it before goes in that instant.
    pub fn place(mut self, at: &Path, replace: bool) -> Result<(), Error> {
        let what = "link a file to";
        if self.hidden.is_none() {
            match link(&self.file, at) {
                // Only renaming replaces.
                Err(Errno::EXIST) if replace => {
                    let path = hidden_in(&self.dir)?;
                    link(&self.file, &path).of(what, at)?;
                    self.hidden = Some(path);
                }
                linked => return linked.of(what, at),
            }
        }
        let Some(hidden) = self.hidden.take() else {
            return Ok(());
        };
        let how = match replace {
            true => RenameFlags::empty(),
            false => RenameFlags::NOREPLACE,
        };
        let renamed = renameat_with(CWD, &hidden, CWD, at, how);
        if renamed.is_err() {
            let _ = std::fs::remove_file(&hidden);
        }
        renamed.of(what, at)
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            let _ = std::fs::remove_file(hidden);
        }
    }
}

fn link(file: &File, at: &Path) -> Result<(), Errno> {
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, itself, CWD, at, AtFlags::SYMLINK_FOLLOW)
}

const HIDDEN_END: &str = ".making";

fn hidden_in(dir: &Path) -> Result<PathBuf, Error> {
    Ok(dir.join(format!(".{}{HIDDEN_END}", random_id()?)))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("a");
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        let mut given_up = Nameless::begin(dir.path()).unwrap();
        write!(given_up.file, "x").unwrap();
        assert_eq!(names(), 0, "a killed writer would leave this");
        drop(given_up);
        for (text, replace) in [("one", false), ("two", true)] {
            let mut file = Nameless::begin(dir.path()).unwrap();
            write!(file.file, "{text}").unwrap();
            file.place(&at, replace).unwrap();
            assert_eq!(
                (std::fs::read_to_string(&at).unwrap().as_str(), names()),
                (text, 1)
            );
        }
        let refused = Nameless::begin(dir.path()).unwrap().place(&at, false);
        assert!(
            matches!(refused, Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists)
        );
        assert_eq!(names(), 1);
    }
}
