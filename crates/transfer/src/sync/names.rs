//! The names of each file, because the kernel tells of a change under one name only, and a file with hard links has several.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_hostfs::Dir;

/// Names of files of the tree, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Nothing is kept when no changes are watched for.
    watched: bool,
    by_inode: HashMap<(u64, u64), Vec<PathBuf>>,
}

impl Names {
    pub(super) fn new(watched: bool) -> Self {
        Self {
            watched,
            by_inode: HashMap::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_inode.clear();
    }

    /// Tells a file that goes. One that has a single name now may get others.
    pub(super) fn add(&mut self, inode: (u64, u64), path: &Path) {
        if !self.watched {
            return;
        }
        let names = self.by_inode.entry(inode).or_default();
        if !names.iter().any(|name| name == path) {
            names.push(path.to_owned());
        }
    }

    /// The other names of what is at `path`, whether or not that one goes. Names that are something else by now are forgotten.
    pub(super) fn others(&mut self, root: &Dir, path: &Path) -> Vec<PathBuf> {
        let Ok(found) = root.look(path) else {
            return Vec::new();
        };
        let metadata = found.metadata();
        let inode = (metadata.dev(), metadata.ino());
        if metadata.is_dir() || metadata.nlink() < 2 {
            // The names that it had are forgotten with the file that gets its number next.
            return Vec::new();
        }
        let Some(names) = self.by_inode.get_mut(&inode) else {
            return Vec::new();
        };
        names.retain(|name| {
            let found = root.look(name);
            found.is_ok_and(|found| (found.metadata().dev(), found.metadata().ino()) == inode)
        });
        names.iter().filter(|name| *name != path).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_all_of_its_names() {
        let tree = tempfile::tempdir().unwrap();
        let root = Dir::open(tree.path()).unwrap();
        let at = |path: &str| tree.path().join(path);
        std::fs::create_dir(at("d")).unwrap();
        std::fs::write(at("a"), "text").unwrap();
        let mut names = Names::new(true);
        let inode = |path: &str| {
            let metadata = std::fs::metadata(at(path)).unwrap();
            (metadata.dev(), metadata.ino())
        };
        // It was seen when it had one name.
        names.add(inode("a"), Path::new("a"));
        std::fs::hard_link(at("a"), at("d/hard")).unwrap();
        assert_eq!(names.others(&root, Path::new("d/hard")), [Path::new("a")]);
        names.add(inode("a"), Path::new("d/hard"));
        names.add(inode("a"), Path::new("d/hard"));
        assert_eq!(names.others(&root, Path::new("a")), [Path::new("d/hard")]);
        // A name that was taken by another file is none any more.
        std::fs::hard_link(at("a"), at("third")).unwrap();
        std::fs::remove_file(at("a")).unwrap();
        std::fs::write(at("a"), "other").unwrap();
        assert_eq!(names.others(&root, Path::new("third")), [Path::new("d/hard")]);
        assert!(names.others(&root, Path::new("none")).is_empty());
        assert!(names.others(&root, Path::new("d")).is_empty());
    }
}
