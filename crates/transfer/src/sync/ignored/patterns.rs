//! Files of patterns of one name: a deeper file counts before a higher one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_hostfs::Dir;

use super::pattern::File;

/// The most bytes of a file of patterns, as for git.
pub(super) const MOST: u64 = 100 << 20;

/// What files of one name say of a tree.
#[derive(Debug)]
pub(super) struct Patterns {
    name: &'static str,
    /// Whether letters match in either case.
    fold: bool,
    held: Arc<Dir>,
    /// From outside the tree, that which counts first in front.
    above: Vec<File>,
    below: HashMap<PathBuf, Arc<File>>,
}

impl Patterns {
    /// Of the files called `name` in the tree `held` at `root`, and above it up to its repository. Git follows no link of that
    /// name.
    pub(super) fn new(name: &'static str, root: &Path, held: Arc<Dir>, repository: Option<&Path>) -> Self {
        let mut above = Vec::new();
        if let Some(repository) = repository
            && let Ok(held) = Dir::open(repository)
        {
            let dirs = root.ancestors().skip(1);
            for dir in dirs.take_while(|dir| dir.starts_with(repository)) {
                let below = dir.strip_prefix(repository).unwrap_or(Path::new(""));
                above.push(read(&held, below, dir, name));
            }
        }
        Self {
            name,
            fold: false,
            held,
            above,
            below: HashMap::new(),
        }
    }

    /// Has letters match in either case, as `core.ignoreCase` does.
    pub(super) fn folding(self, fold: bool) -> Self {
        Self { fold, ..self }
    }

    /// Adds patterns that count after all there are.
    pub(super) fn add(&mut self, patterns: File) {
        self.above.push(patterns);
    }

    /// Whether `path` below `root` is named, whatever is said of the directories that it is in.
    pub(super) fn name(&mut self, root: &Path, path: &Path, is_dir: bool) -> bool {
        let whole = root.join(path);
        for dir in path.ancestors().skip(1) {
            if let Some(said) = self.of(root, dir).said(&whole, is_dir, self.fold) {
                return said;
            }
        }
        let mut above = self.above.iter();
        above
            .find_map(|file| file.said(&whole, is_dir, self.fold))
            .unwrap_or(false)
    }

    fn of(&mut self, root: &Path, dir: &Path) -> Arc<File> {
        if let Some(known) = self.below.get(dir) {
            return Arc::clone(known);
        }
        let found = Arc::new(read(&self.held, dir, &root.join(dir), self.name));
        self.below.insert(dir.to_owned(), Arc::clone(&found));
        found
    }
}

/// The patterns of the file `name` in `dir`, below `held`, through no link.
fn read(held: &Dir, dir: &Path, whole: &Path, name: &str) -> File {
    let text = held.read(dir.join(name), MOST).unwrap_or_default();
    File::parse(whole, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_patterns_that_is_a_link_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("elsewhere"), "a\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(".gitignore")).unwrap();
        let held = Arc::new(Dir::open(dir.path()).unwrap());
        let mut patterns = Patterns::new(".gitignore", dir.path(), held, None);
        assert!(!patterns.name(dir.path(), Path::new("a"), false));
        banger_cases::refused("host-files", "sync.linked-patterns");
    }
}
