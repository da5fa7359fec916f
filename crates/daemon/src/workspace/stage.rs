//! A place of our own in which git may write: copies of the index, and objects that the source does not have.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_api::Paths;

use super::Error;
use super::git::Git;
use super::source::Source;

/// Where stages and quarantines are made.
pub(crate) fn scratch(paths: &Paths) -> PathBuf {
    paths.cache.join("workspaces")
}

/// Empties it: what is there at a daemon's start was left by one that died.
pub(crate) fn clear_scratch(paths: &Paths) {
    let entries = std::fs::read_dir(scratch(paths)).into_iter().flatten().flatten();
    for entry in entries {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "could not remove what a daemon left");
        }
    }
}

/// The place. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    /// Makes one in `scratch`, for work with `source`.
    pub(crate) fn make(source: &Source, scratch: &Path) -> Result<Self, Error> {
        let made = || {
            std::fs::create_dir_all(scratch)?;
            let dir = tempfile::Builder::new()
                .prefix("workspace-")
                .tempdir_in(scratch)?;
            std::fs::create_dir_all(dir.path().join("objects/info"))?;
            std::fs::create_dir_all(dir.path().join("tree"))?;
            std::fs::write(dir.path().join("no-shallow"), "")?;
            let alternates = alternate(&source.shared("objects"));
            std::fs::write(dir.path().join("objects/info/alternates"), alternates)?;
            Ok(dir)
        };
        let dir = made().map_err(|error| Error::file("make a directory in", scratch, error))?;
        Ok(Self { dir })
    }

    /// A path in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `git` in the source that writes objects here, with the index `index` of this place.
    pub(crate) fn git(&self, source: &Source, index: &str) -> Git {
        source
            .git()
            .with("GIT_INDEX_FILE", self.at(index))
            .with("GIT_OBJECT_DIRECTORY", self.at("objects"))
    }

    /// Copies an index. Its time stays: by it git tells which files could have changed unseen.
    pub(crate) fn copy_index(&self, from: &Path, to: &str) -> Result<(), Error> {
        let copied = || {
            let mut file = match File::open(from) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            };
            let mut copy = File::create(self.at(to))?;
            io::copy(&mut file, &mut copy)?;
            copy.set_modified(file.metadata()?.modified()?)
        };
        copied().map_err(|error| Error::file("copy", from, error))
    }
}

/// A line of `objects/info/alternates` (gitrepository-layout(5)); a path that could be taken for something else is quoted.
pub(crate) fn alternate(path: &Path) -> Vec<u8> {
    let mut line = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            _ => line.push(byte),
        }
    }
    line.extend(b"\"\n");
    line
}
