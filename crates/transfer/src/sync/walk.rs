//! The files of a tree as they are now.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_guest_api::query::encoded;
use banger_guest_api::{Listed, ListedKind};
use banger_hostfs::{Dir, Error, Kind};

use super::ignored::Ignored;
use super::names::Names;
use super::watch::Watcher;

/// Files by their paths below the root, directories before what is in them.
pub(super) type Files = BTreeMap<PathBuf, Here>;

/// A file of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) kind: ListedKind,
    mode: u32,
    size: u64,
    mtime: (i64, i64),
    target: Option<OsString>,
    pub(super) inode: (u64, u64),
    /// How many names it has, here and elsewhere.
    links: u64,
}

impl Here {
    /// What `path` below `root` is; nothing if it is not there, or nothing that goes. What is behind a link is not there.
    pub(super) fn look(root: &Dir, path: &Path) -> Result<Option<Self>, Error> {
        let found = match root.look(path) {
            Ok(found) => found,
            Err(error) if error.is_absent() || error.is_link() => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = match found.kind() {
            Kind::Directory => ListedKind::Directory,
            Kind::File => ListedKind::File,
            Kind::Symlink => ListedKind::Symlink,
            _ => return Ok(None),
        };
        let target = match kind {
            ListedKind::Symlink => found.target().ok(),
            _ => None,
        };
        let metadata = found.metadata();
        Ok(Some(Self {
            kind,
            mode: metadata.mode() & 0o777,
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            target: target.map(OsString::from_vec),
            inode: (metadata.dev(), metadata.ino()),
            links: metadata.nlink(),
        }))
    }

    /// Whether `path` is a regular file.
    pub(super) fn is_file(root: &Dir, path: &Path) -> bool {
        matches!(root.kind(path), Ok(Some(Kind::File)))
    }

    /// Whether the guest has the same, as far as can be told without reading it.
    pub(super) fn is(&self, listed: &Listed) -> bool {
        self.kind == listed.kind
            && match self.kind {
                ListedKind::Directory => self.mode == listed.mode & 0o777,
                ListedKind::File => {
                    let mtime = (listed.mtime.0, i64::from(listed.mtime.1));
                    self.mode == listed.mode & 0o777 && self.size == listed.size && self.mtime == mtime
                }
                ListedKind::Symlink => {
                    let target = self.target.as_ref().map(|target| encoded(target.as_bytes()));
                    target == listed.target
                }
                ListedKind::Other => true,
            }
    }
}

/// Whether nothing is at `path`, or what is there is behind a link; what cannot be looked at may be there.
pub(super) fn is_absent(root: &Dir, path: &Path) -> bool {
    root.look(path)
        .is_err_and(|error| error.is_absent() || error.is_link())
}

/// Whether a file is not there, perhaps because something else is where its directory was.
pub(super) fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A walk through a tree that finds what goes.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Dir,
    pub(super) ignored: &'a mut Ignored,
    pub(super) names: &'a mut Names,
    /// Gets each directory before it is read, so that no change of it is missed.
    pub(super) watcher: Option<&'a mut Watcher>,
    /// What was found.
    pub(super) files: &'a mut Files,
    /// Directories that may not be read.
    pub(super) closed: Vec<(PathBuf, Error)>,
    /// What looks like a secret, and why.
    pub(super) held: Vec<(PathBuf, String)>,
}

impl Walk<'_> {
    /// Adds `path`, below the root, and all that is in it and not ignored.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), Error> {
        let Some(here) = Here::look(self.root, path)? else {
            return Ok(());
        };
        let is_dir = here.kind == ListedKind::Directory;
        let is_root = path.as_os_str().is_empty();
        if !is_root {
            if self.ignored.itself(path, is_dir) {
                return Ok(());
            }
            if !is_dir && let Some(why) = self.ignored.suspicion(path) {
                self.held.push((path.to_owned(), why));
                return Ok(());
            }
            if !is_dir {
                self.names.add(here.inode, path);
                self.watch_file(path, &here);
            }
            self.files.insert(path.to_owned(), here);
        }
        if !is_dir {
            return Ok(());
        }
        match self.enter(path) {
            Ok(entries) => entries.into_iter().try_for_each(|entry| self.add(&entry)),
            Err(error) if error.is_absent() || error.is_link() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !is_root => {
                self.closed.push((path.to_owned(), error));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A file with several names may be written to by one that is in no directory that is watched: outside of the tree, or where
    /// nothing goes.
    fn watch_file(&mut self, path: &Path, here: &Here) {
        if let Some(watcher) = &mut self.watcher
            && here.kind == ListedKind::File
            && here.links > 1
            && let Ok(found) = self.root.look(path)
        {
            watcher.add_file(path, &found);
        }
    }

    fn enter(&mut self, path: &Path) -> Result<Vec<PathBuf>, Error> {
        let dir = self.root.dir(path)?;
        if let Some(watcher) = &mut self.watcher {
            watcher.add(path, &dir).map_err(|source| Error::File {
                what: "watch",
                path: dir.path().to_owned(),
                source,
            })?;
        }
        let entries = dir.entries()?;
        Ok(entries.into_iter().map(|name| path.join(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustix::process::{Uid, geteuid};
    use rustix::thread::set_thread_res_uid;

    use super::super::spec::Extent;
    use super::*;

    #[test]
    fn what_may_not_be_read_is_told_and_the_rest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(root.join("closed")).unwrap();
        fs::write(root.join("closed/file"), "").unwrap();
        fs::write(root.join("open"), "").unwrap();
        fs::set_permissions(root.join("closed"), Permissions::from_mode(0o0)).unwrap();
        let walking = move || {
            // Root reads everything. This thread becomes another user, and ends with the test.
            if geteuid().is_root() {
                let nobody = Uid::from_raw(65534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let held = Arc::new(Dir::open(&root).unwrap());
            let mut ignored = Ignored::new(&root, Arc::clone(&held), Extent::All);
            let (mut files, mut names) = (Files::new(), Names::new(false));
            let mut walk = Walk {
                root: &held,
                names: &mut names,
                ignored: &mut ignored,
                watcher: None,
                files: &mut files,
                closed: Vec::new(),
                held: Vec::new(),
            };
            walk.add(Path::new("")).unwrap();
            let closed: Vec<_> = walk.closed.into_iter().map(|(path, _)| path).collect();
            let found: Vec<_> = files.into_keys().collect();
            // What cannot be looked at is not taken for absent, which would remove it in the guest.
            (
                closed,
                found,
                is_absent(&held, Path::new("closed/file")),
                is_absent(&held, Path::new("none")),
            )
        };
        let (closed, found, hidden_is_absent, none_is_absent) = std::thread::spawn(walking).join().unwrap();
        fs::set_permissions(dir.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed, [Path::new("closed")]);
        assert_eq!(found, [Path::new("closed"), Path::new("open")]);
        assert!(!hidden_is_absent && none_is_absent);
    }
}
