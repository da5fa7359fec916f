//! The files of a tree as they are now.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_api::stream::query::encoded;
use banger_api::stream::{Listed, ListedKind};

use super::{Ignored, Watcher};

/// Files by their paths below the root, directories before what is in them.
pub(super) type Files = BTreeMap<PathBuf, Here>;

/// A file of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) kind: ListedKind,
    mode: u32,
    size: u64,
    mtime: (i64, i64),
    target: Option<PathBuf>,
}

impl Here {
    /// What `path` is; nothing if it is not there, or nothing that goes.
    pub(super) fn look(path: &Path) -> io::Result<Option<Self>> {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(kind) = kind(&metadata) else {
            return Ok(None);
        };
        let target = match kind {
            ListedKind::Symlink => std::fs::read_link(path).ok(),
            _ => None,
        };
        Ok(Some(Self {
            kind,
            mode: metadata.mode() & 0o777,
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            target,
        }))
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
                    let target = self
                        .target
                        .as_ref()
                        .map(|target| encoded(target.as_os_str().as_bytes()));
                    target == listed.target
                }
                ListedKind::Other => true,
            }
    }
}

fn kind(metadata: &Metadata) -> Option<ListedKind> {
    if metadata.is_dir() {
        Some(ListedKind::Directory)
    } else if metadata.is_file() {
        Some(ListedKind::File)
    } else if metadata.is_symlink() {
        Some(ListedKind::Symlink)
    } else {
        None
    }
}

/// Whether nothing is at `path`; what cannot be looked at may be there.
pub(super) fn is_absent(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| is_gone(&error))
}

/// Whether a file is not there, perhaps because something else is where its directory was.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A walk through a tree that finds what goes.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Path,
    pub(super) ignored: &'a mut Ignored,
    /// Gets each directory before it is read, so that no change of it is missed.
    pub(super) watcher: Option<&'a mut Watcher>,
    /// What was found.
    pub(super) files: &'a mut Files,
    /// Directories that may not be read.
    pub(super) closed: Vec<(PathBuf, io::Error)>,
    /// What looks like a secret, and why.
    pub(super) held: Vec<(PathBuf, String)>,
}

impl Walk<'_> {
    /// Adds `path`, below the root, and all that is in it and not ignored.
    pub(super) fn add(&mut self, path: &Path) -> io::Result<()> {
        let Some(here) = Here::look(&self.root.join(path))? else {
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
            self.files.insert(path.to_owned(), here);
        }
        if !is_dir {
            return Ok(());
        }
        match self.enter(path) {
            Ok(entries) => entries.into_iter().try_for_each(|entry| self.add(&entry)),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !is_root => {
                self.closed.push((path.to_owned(), error));
                Ok(())
            }
            Err(error) => {
                let whole = self.root.join(path);
                Err(io::Error::new(
                    error.kind(),
                    format!("{}: {error}", whole.display()),
                ))
            }
        }
    }

    fn enter(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if let Some(watcher) = &mut self.watcher {
            watcher.add(path)?;
        }
        let entries = std::fs::read_dir(self.root.join(path))?;
        entries.map(|entry| Ok(path.join(entry?.file_name()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use rustix::process::{Uid, geteuid};
    use rustix::thread::set_thread_res_uid;

    use super::super::Extent;
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
            let (mut files, mut ignored) = (Files::new(), Ignored::new(&root, Extent::All));
            let mut walk = Walk {
                root: &root,
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
                is_absent(&root.join("closed/file")),
                is_absent(&root.join("none")),
            )
        };
        let (closed, found, hidden_is_absent, none_is_absent) = std::thread::spawn(walking).join().unwrap();
        fs::set_permissions(dir.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed, [Path::new("closed")]);
        assert_eq!(found, [Path::new("closed"), Path::new("open")]);
        assert!(!hidden_is_absent && none_is_absent);
    }
}
