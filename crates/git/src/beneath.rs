//! A git directory, held open: what is opened in it is beneath it, and no link is followed on the way.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_hostfs::{Found, Kind};
use rustix::fs::FileType;

use crate::Error;

/// A directory.
#[derive(Debug)]
pub struct Dir(Arc<banger_hostfs::Dir>);

impl Dir {
    /// Opens one by a path that is the user's own.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(banger_hostfs::Dir::open(path)?)))
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it, to be shown or handed to git.
    #[must_use]
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// What is at `name` itself; none when there is nothing.
    fn look(&self, name: &Path) -> Result<Option<Found>, Error> {
        match self.0.look(name) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A directory in it; none when there is nothing.
    pub(crate) fn dir(&self, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        match self.look(name.as_ref())? {
            Some(found) => Ok(Some(Self(Arc::new(found.dir()?)))),
            None => Ok(None),
        }
    }

    /// A regular file in it, opened for reading, and never waited for; none when there is nothing.
    pub(crate) fn file(&self, name: impl AsRef<Path>) -> Result<Option<File>, Error> {
        match self.look(name.as_ref())? {
            Some(found) => Ok(Some(found.open()?)),
            None => Ok(None),
        }
    }

    /// What a file in it has, if that is no more than `most` bytes; none when there is no file.
    pub(crate) fn read(&self, name: impl AsRef<Path>, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let name = name.as_ref();
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::file("read", &self.at(name), error))?;
        match bytes.len() as u64 > most {
            true => Err(Error::TooLarge {
                path: self.at(name),
                most,
            }),
            false => Ok(Some(bytes)),
        }
    }

    /// What is at `name` itself.
    pub(crate) fn kind(&self, name: impl AsRef<Path>) -> Option<Kind> {
        self.0.kind(name).ok().flatten()
    }

    /// Where a link in it leads.
    pub(crate) fn link(&self, name: impl AsRef<Path>) -> Option<PathBuf> {
        let target = self.look(name.as_ref()).ok().flatten()?.target().ok()?;
        Some(PathBuf::from(OsString::from_vec(target)))
    }

    /// Names and kinds of what is in it.
    pub(crate) fn entries(&self) -> Result<Vec<(OsString, FileType)>, Error> {
        let failed = |error: rustix::io::Errno| Error::file("list", self.path(), error.into());
        let itself = self.0.file_of_itself()?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::new(itself).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = OsStr::from_bytes(name).to_owned();
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind(&name).map_or(FileType::Unknown, raw),
                kind => kind,
            };
            entries.push((name, kind));
        }
        Ok(entries)
    }

    pub(crate) fn odd(&self, name: impl AsRef<Path>, kind: &'static str) -> Error {
        Error::Odd {
            path: self.at(name),
            kind: kind.to_owned(),
        }
    }
}

fn raw(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        _ => FileType::Unknown,
    }
}

impl From<banger_hostfs::Error> for Error {
    fn from(error: banger_hostfs::Error) -> Self {
        match error {
            banger_hostfs::Error::Link(path) => Self::Odd {
                path,
                kind: "a symbolic link or behind one".to_owned(),
            },
            banger_hostfs::Error::Kind { path, kind } => Self::Odd {
                path,
                kind: kind.to_string(),
            },
            banger_hostfs::Error::File { what, path, source } => Self::File { what, path, source },
            error => Self::File {
                what: "open",
                path: error.path().to_owned(),
                source: error.into(),
            },
        }
    }
}
