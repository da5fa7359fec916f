//! Where a copy goes, by the rules of `cp -r`: into a directory that is there, else under a new name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_hostfs::{Dir, Error as HostError, Kind};

use super::Unpacking;

/// A directory that an archive is unpacked in.
#[derive(Debug)]
pub struct Destination {
    pub(super) dir: Dir,
    pub(super) is_new: bool,
}

/// Whether a destination may be a symbolic link itself. Links on the way to it are its user's, and so is one that is named
/// with a slash behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    /// It is followed.
    Followed,
    /// It is not: an earlier copy may have made it.
    Refused,
}

/// A copy cannot go there.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Several files, or what is in a directory, go into a directory only.
    #[error("{} is not a directory", .0.display())]
    NoDirectory(PathBuf),
    /// A directory does not replace a file.
    #[error("there is no directory {}", .0.display())]
    Absent(PathBuf),
    /// It is a symbolic link, and whoever made that is unknown.
    #[error(
        "{} is a symbolic link, which an earlier copy may have created: use `{}/` if it leads to your directory, or specify its target",
        .0.display(), .0.display()
    )]
    Link(PathBuf),
    /// The file system.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl From<HostError> for DestinationError {
    fn from(error: HostError) -> Self {
        let path = error.path().to_owned();
        match error {
            HostError::File { what, source, .. } => Self::File { what, path, source },
            HostError::Link(_) => Self::Link(path),
            error => Self::File {
                what: "open",
                path,
                source: error.into(),
            },
        }
    }
}

impl Destination {
    /// Finds where the files called `names` go that shall go to `path`; no names means what is in a directory. Says so
    /// to `unpacking`.
    ///
    /// # Errors
    /// When `path` is not fit for them.
    pub fn find(
        path: &Path,
        names: &[Vec<u8>],
        last: LastLink,
        unpacking: &mut Unpacking,
    ) -> Result<Self, DestinationError> {
        let slash = path.as_os_str().as_bytes().ends_with(b"/");
        let around = absent_is(path, Dir::around(path))?;
        let Some((dir, name)) = around else {
            return Ok(absent_is(path, Dir::open(path))?.into());
        };
        if slash {
            // Through a link, which is meant.
            match Dir::open(path) {
                Ok(dir) => return Ok(dir.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.is_absent() => {
                    return Err(DestinationError::NoDirectory(path.to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        match dir.kind(&name)? {
            Some(Kind::Symlink) if last == LastLink::Refused => Err(DestinationError::Link(path.to_owned())),
            Some(Kind::Symlink) => Self::behind(path, names, dir, &name, unpacking),
            Some(Kind::Directory) => Ok(dir.dir(&name)?.into()),
            Some(_) if names.len() == 1 && !slash => Ok(Self::renamed(dir, &name, unpacking)),
            Some(_) => Err(DestinationError::NoDirectory(path.to_owned())),
            None => match names.len() {
                0 => {
                    dir.make_dir(&name, 0o777)?;
                    let dir = dir.dir(&name)?;
                    Ok(Self { dir, is_new: true })
                }
                1 => {
                    unpacking.directory = slash;
                    Ok(Self::renamed(dir, &name, unpacking))
                }
                _ => Err(DestinationError::Absent(path.to_owned())),
            },
        }
    }

    /// Where a link leads.
    fn behind(
        path: &Path,
        names: &[Vec<u8>],
        dir: Dir,
        name: &OsStr,
        unpacking: &mut Unpacking,
    ) -> Result<Self, DestinationError> {
        match dir.look_through(name) {
            Ok(found) if found.kind() == Kind::Directory => Ok(found.dir()?.into()),
            // The file itself is replaced.
            Ok(found) if names.len() == 1 => match Dir::around(&found.place()?)? {
                Some((dir, name)) => Ok(Self::renamed(dir, &name, unpacking)),
                None => Err(DestinationError::NoDirectory(path.to_owned())),
            },
            Ok(_) => Err(DestinationError::NoDirectory(path.to_owned())),
            Err(error) if error.is_absent() && names.len() == 1 => Ok(Self::renamed(dir, name, unpacking)),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory `path`, made with those above it if it is not there.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn directory(path: &Path) -> Result<Self, DestinationError> {
        let (dir, is_new) = Dir::open_or_make(path)?;
        Ok(Self { dir, is_new })
    }

    fn renamed(dir: Dir, name: &OsStr, unpacking: &mut Unpacking) -> Self {
        unpacking.rename = Some(name.as_bytes().to_vec());
        dir.into()
    }

    /// Its directory.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }
}

impl From<Dir> for Destination {
    fn from(dir: Dir) -> Self {
        Self { dir, is_new: false }
    }
}

fn absent_is<T>(path: &Path, opened: Result<T, HostError>) -> Result<T, DestinationError> {
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DestinationError::Absent(path.to_owned()),
        io::ErrorKind::NotADirectory => DestinationError::NoDirectory(path.to_owned()),
        _ => error.into(),
    })
}
