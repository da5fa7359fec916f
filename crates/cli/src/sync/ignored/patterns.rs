//! Patterns of files of one name, in the language of gitignore(5): a deeper file counts before a higher one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// What files of one name say of a tree.
#[derive(Debug)]
pub(super) struct Patterns {
    name: &'static str,
    /// From outside the tree, that which counts first in front.
    above: Vec<Gitignore>,
    below: HashMap<PathBuf, Arc<Gitignore>>,
}

impl Patterns {
    /// Of the files called `name` in the tree at `root`, and above it up to its repository.
    pub(super) fn new(name: &'static str, root: &Path, repository: Option<&Path>) -> Self {
        let dirs = root.ancestors().skip(1);
        let within = dirs.take_while(|dir| repository.is_some_and(|repository| dir.starts_with(repository)));
        Self {
            name,
            above: within.map(|dir| read(dir, &dir.join(name))).collect(),
            below: HashMap::new(),
        }
    }

    /// Adds patterns that count after all there are.
    pub(super) fn add(&mut self, patterns: Gitignore) {
        self.above.push(patterns);
    }

    /// Whether `path` below `root` is named, whatever is said of the directories that it is in.
    pub(super) fn name(&mut self, root: &Path, path: &Path, is_dir: bool) -> bool {
        let whole = root.join(path);
        for dir in path.ancestors().skip(1) {
            let patterns = self.of(root, dir);
            let said = patterns.matched(&whole, is_dir);
            if !said.is_none() {
                return said.is_ignore();
            }
        }
        let mut said = self.above.iter().map(|patterns| patterns.matched(&whole, is_dir));
        said.find(|said| !said.is_none())
            .is_some_and(|said| said.is_ignore())
    }

    fn of(&mut self, root: &Path, dir: &Path) -> Arc<Gitignore> {
        if let Some(known) = self.below.get(dir) {
            return Arc::clone(known);
        }
        let whole = root.join(dir);
        let found = Arc::new(read(&whole, &whole.join(self.name)));
        self.below.insert(dir.to_owned(), Arc::clone(&found));
        found
    }
}

/// The patterns of a file, which count from a directory on; what is none is passed over.
pub(super) fn read(dir: &Path, file: &Path) -> Gitignore {
    let mut patterns = GitignoreBuilder::new(dir);
    let _what_is_none = patterns.add(file);
    patterns.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The user's own, which count in all repositories.
pub(super) fn of_user(repository: &Path) -> Gitignore {
    let (patterns, _what_is_none) = GitignoreBuilder::new(repository).build_global();
    patterns
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn git_says_the_same() {
        // Only a bracket that is escaped within brackets is something else to the library.
        let globs = [
            "a",
            "/a",
            "a/",
            "a/b",
            "/a/b",
            "*.o",
            "a*",
            "*a*",
            "a/*",
            "a/**",
            "**/b",
            "a/**/b",
            "**",
            "a**b",
            "?",
            "[ab]",
            "[!ab]",
            "[a-c]x",
            "[]a]",
            "\\!a",
            "\\#a",
            "a\\ ",
            "a ",
            "[[:digit:]]",
            "b/c",
            "**/b/c",
            "a/**/",
            "*/b",
            "[a",
            "x[",
            "\\*",
            "a/?/c",
            "*b*c",
            "/*",
            "/**",
            "a//b",
            "dir/**/x.o",
        ];
        let paths = [
            "a",
            "b",
            "a/b",
            "a/b/c",
            "b/c",
            "c/b",
            "x.o",
            "a/x.o",
            "ab",
            "axb",
            "a/x/b",
            "ax",
            "bx",
            "]",
            "!a",
            "#a",
            "a ",
            "1",
            "x",
            "*",
            "abc",
            "x/b/c",
            "dir/x.o",
            "dir/y/x.o",
        ];
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            Command::new("git")
                .arg("-C")
                .arg(dir.path())
                .args(args)
                .output()
                .unwrap()
        };
        git(&["init", "-q"]);
        for line in globs {
            std::fs::write(dir.path().join(".gitignore"), format!("{line}\n")).unwrap();
            let told = git(&[&["check-ignore", "--no-index", "--"], &paths[..]].concat());
            let theirs: Vec<&str> = std::str::from_utf8(&told.stdout).unwrap().lines().collect();
            let mut patterns = Patterns::new(".gitignore", dir.path(), None);
            let mut means = |path: &str, is_dir| patterns.name(dir.path(), Path::new(path), is_dir);
            let ours: Vec<&str> = paths
                .into_iter()
                .filter(|path| {
                    // None of them is there, so git takes the last part for a file.
                    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
                    means(path, false) || above.into_iter().any(|dir| means(dir, true))
                })
                .collect();
            let quoted = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(quoted(ours), quoted(theirs), "{line:?}");
        }
    }
}
