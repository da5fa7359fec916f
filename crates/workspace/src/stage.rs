//! A place of our own in which git may write: copies of the index, and objects that the source does not have.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use banger_git::Git;
use banger_hostfs::Dir;
use banger_hostsys::orphans;

use crate::error::Error;
use crate::packs;
use crate::source::Source;

/// Empties the directory of stages and quarantines: what is there at a daemon's start was left by one that died. Its git may
/// still run, and would go on writing there.
pub fn clear(scratch: &Path) {
    let mut entries = std::fs::read_dir(scratch)
        .into_iter()
        .flatten()
        .flatten()
        .peekable();
    if entries.peek().is_some() {
        orphans::end_all_using(scratch);
    }
    for entry in entries {
        packs::take_back(&entry.path());
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "could not remove files that an earlier daemon left");
        }
    }
}

/// The place. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: tempfile::TempDir,
    /// What was checked out.
    tree: Dir,
}

impl Stage {
    /// Makes one in `scratch`.
    pub(crate) fn make(scratch: &Path) -> Result<Self, Error> {
        let made = || {
            std::fs::create_dir_all(scratch)?;
            let dir = tempfile::Builder::new()
                .prefix("workspace-")
                .tempdir_in(scratch)?;
            std::fs::create_dir_all(dir.path().join("objects/info"))?;
            std::fs::create_dir_all(dir.path().join("tree"))?;
            Ok(dir)
        };
        let dir = made().map_err(|error| Error::file("create a directory in", scratch, error))?;
        let tree = Dir::open(&dir.path().join("tree")).map_err(banger_git::Error::from)?;
        Ok(Self { dir, tree })
    }

    /// What was checked out in it.
    pub(crate) fn tree(&self) -> &Dir {
        &self.tree
    }

    /// A path in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `git` that sees the source's objects and those of this place, with the index `index` of this place. It may write objects
    /// that neither has: git touches the time of one that there is.
    pub(crate) fn git(&self, source: &Source, index: &str) -> Git {
        let objects = source.view.alternate();
        self.alone(source, index)
            .with("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects)
    }

    /// The same that sees the objects of this place alone, and may write any.
    pub(crate) fn alone(&self, source: &Source, index: &str) -> Git {
        let git = source.git().with("GIT_INDEX_FILE", self.at(index));
        git.with("GIT_OBJECT_DIRECTORY", self.at("objects"))
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
