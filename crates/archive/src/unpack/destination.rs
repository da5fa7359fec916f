//! Where a copy goes, by the rules of `cp -r`: into a directory that is there, else under a new name.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::Unpacking;

/// A directory that an archive is unpacked in.
#[derive(Debug)]
pub struct Destination {
    pub(super) dir: OwnedFd,
    pub(super) is_new: bool,
}

/// A copy cannot go there.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Several files, or what is in a directory, go into a directory only.
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// A directory does not replace a file.
    #[error("there is no directory {}", .0.display())]
    Absent(PathBuf),
    /// The file system.
    #[error("{what} {}", .path.display())]
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

impl Destination {
    /// Finds where the files called `names` go that shall go to `path`; no names means what is in a directory. Says so
    /// to `unpacking`.
    ///
    /// # Errors
    /// When `path` is not fit for them.
    pub fn find(path: &Path, names: &[Vec<u8>], unpacking: &mut Unpacking) -> Result<Self, DestinationError> {
        let slash = path.as_os_str().as_bytes().ends_with(b"/");
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Self::open(path, false),
            Ok(_) if names.len() == 1 && !slash => {
                // Through links, so that it is the file itself that is replaced.
                let file = path
                    .canonicalize()
                    .map_err(|source| failed("find", path, source))?;
                Self::renamed(&file, unpacking)
            }
            Ok(_) => Err(DestinationError::NoDirectory(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match names.len() {
                0 => {
                    std::fs::create_dir(path).map_err(|source| failed("make", path, source))?;
                    Self::open(path, true)
                }
                1 => {
                    unpacking.directory = slash;
                    Self::renamed(path, unpacking)
                }
                _ => Err(DestinationError::Absent(path.to_owned())),
            },
            Err(source) => Err(failed("look at", path, source)),
        }
    }

    /// The directory `path`, made with those above it if it is not there.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn directory(path: &Path) -> Result<Self, DestinationError> {
        let is_new = !path.exists();
        std::fs::create_dir_all(path).map_err(|source| failed("make", path, source))?;
        Self::open(path, is_new)
    }

    fn renamed(path: &Path, unpacking: &mut Unpacking) -> Result<Self, DestinationError> {
        let bytes = path.as_os_str().as_bytes();
        let end = bytes
            .iter()
            .rposition(|&byte| byte != b'/')
            .map_or(0, |at| at + 1);
        let (above, name) = match bytes[..end].iter().rposition(|&byte| byte == b'/') {
            Some(0) => (&b"/"[..], &bytes[1..end]),
            Some(at) => (&bytes[..at], &bytes[at + 1..end]),
            None => (&b"."[..], &bytes[..end]),
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(DestinationError::Absent(path.to_owned()));
        }
        unpacking.rename = Some(name.to_vec());
        Self::open(Path::new(OsStr::from_bytes(above)), false)
    }

    fn open(path: &Path, is_new: bool) -> Result<Self, DestinationError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(dir) => Ok(Self { dir, is_new }),
            Err(rustix::io::Errno::NOENT) => Err(DestinationError::Absent(path.to_owned())),
            Err(error) => Err(failed("open", path, error.into())),
        }
    }

    /// Its directory.
    pub fn dir(&self) -> &OwnedFd {
        &self.dir
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> DestinationError {
    DestinationError::File {
        what,
        path: path.to_owned(),
        source,
    }
}
