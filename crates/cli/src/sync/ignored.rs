//! What is not synchronised: what git ignores, and what `.bangerignore` files say in the same language; a deeper file
//! counts before a higher one, and in a directory `.bangerignore` before `.gitignore` (gitignore(5)).
//!
//! Unlike git, this knows of no index: a file that is tracked and matches a pattern stays here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The files with patterns, that which counts first in front.
const FILES: [&str; 2] = [".bangerignore", ".gitignore"];

/// The patterns of a file, which count from a directory on; what is none is passed over.
fn read(dir: &Path, file: &Path) -> Option<Gitignore> {
    let mut patterns = GitignoreBuilder::new(dir);
    let _what_is_none = patterns.add(file);
    patterns.build().ok().filter(|patterns| !patterns.is_empty())
}

/// Whether `path` is ignored, if one of these says anything of it.
fn said(patterns: &[Gitignore], path: &Path, is_dir: bool) -> Option<bool> {
    let mut said = patterns.iter().map(|patterns| patterns.matched(path, is_dir));
    said.find(|said| !said.is_none()).map(|said| said.is_ignore())
}

/// The patterns of a tree.
#[derive(Debug)]
pub(crate) struct Ignored {
    root: PathBuf,
    /// Nothing but git's own directory is ignored.
    nothing: bool,
    /// From outside the tree: of the directories above it in its repository, of the repository, of the user.
    above: Vec<Gitignore>,
    below: HashMap<PathBuf, Arc<[Gitignore]>>,
}

impl Ignored {
    /// Those of the tree at `root`, an absolute path; with `nothing`, none.
    pub(crate) fn new(root: &Path, nothing: bool) -> Self {
        let mut above = Vec::new();
        if let Some(repository) = root.ancestors().find(|dir| dir.join(".git").exists()) {
            let dirs = root
                .ancestors()
                .skip(1)
                .take_while(|dir| dir.starts_with(repository));
            above.extend(dirs.flat_map(of_directory));
            above.extend(read(repository, &repository.join(".git/info/exclude")));
            above.extend(users().and_then(|file| read(repository, &file)));
        }
        Self {
            root: root.to_owned(),
            nothing,
            above,
            below: HashMap::new(),
        }
    }

    /// Whether a file has patterns, so that a change of it changes what is ignored.
    pub(crate) fn is_pattern_file(path: &Path) -> bool {
        path.file_name()
            .is_some_and(|name| FILES.iter().any(|file| name == *file))
    }

    /// Whether `path`, below the root, is ignored, or a directory that it is in.
    pub(crate) fn is(&mut self, path: &Path, is_dir: bool) -> bool {
        let mut above: Vec<_> = path
            .ancestors()
            .skip(1)
            .filter(|dir| !dir.as_os_str().is_empty())
            .collect();
        above.reverse();
        above.into_iter().any(|dir| self.itself(dir, true)) || self.itself(path, is_dir)
    }

    /// Whether `path` is ignored, which is in no directory that is.
    pub(crate) fn itself(&mut self, path: &Path, is_dir: bool) -> bool {
        if path.file_name().is_some_and(|name| name == ".git") {
            return true;
        }
        if self.nothing {
            return false;
        }
        let whole = self.root.join(path);
        for dir in path.ancestors().skip(1) {
            if let Some(ignored) = said(&self.of(dir), &whole, is_dir) {
                return ignored;
            }
        }
        said(&self.above, &whole, is_dir).unwrap_or(false)
    }

    fn of(&mut self, dir: &Path) -> Arc<[Gitignore]> {
        if let Some(known) = self.below.get(dir) {
            return Arc::clone(known);
        }
        let found: Arc<[_]> = of_directory(&self.root.join(dir)).into();
        self.below.insert(dir.to_owned(), Arc::clone(&found));
        found
    }
}

fn of_directory(dir: &Path) -> Vec<Gitignore> {
    let files = FILES.iter().map(|file| dir.join(file));
    files.filter_map(|file| read(dir, &file)).collect()
}

/// The user's own file, where git looks for it unless `core.excludesFile` says otherwise.
fn users() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(config.join("git/ignore"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn it_ignores_what_git_ignores() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().canonicalize().unwrap();
        let root = repository.join("in");
        std::fs::create_dir_all(root.join("deep")).unwrap();
        std::fs::create_dir_all(repository.join(".git/info")).unwrap();
        std::fs::write(repository.join(".git/info/exclude"), "excluded\n").unwrap();
        std::fs::write(repository.join(".gitignore"), "*.log\n/in/top\n").unwrap();
        std::fs::write(root.join(".gitignore"), "target/\n!kept.log\n").unwrap();
        std::fs::write(root.join(".bangerignore"), "data\n!data/x\n").unwrap();
        std::fs::write(root.join("deep/.gitignore"), "!deep.log\n").unwrap();
        let mut ignored = Ignored::new(&root, false);
        let mut is = |path: &str, is_dir| ignored.is(Path::new(path), is_dir);
        for path in [
            "a.log",
            "deep/a.log",
            "target/x",
            "data",
            "data/x",
            "excluded",
            "top",
            ".git",
            ".git/x",
            "deep/.git/y",
        ] {
            assert!(is(path, false), "{path}");
        }
        for path in [
            "a",
            "kept.log",
            "deep/kept.log",
            "deep/deep.log",
            "target",
            "deep/top",
            ".gitignore",
        ] {
            assert!(!is(path, false), "{path}");
        }
        assert!(is("target", true));
        let mut all = Ignored::new(&root, true);
        assert!(!all.is(Path::new("a.log"), false) && all.is(Path::new("deep/.git/x"), false));
    }

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
            let patterns = read(dir.path(), &dir.path().join(".gitignore"));
            let patterns: Vec<Gitignore> = patterns.into_iter().collect();
            let means = |path: &str, is_dir| said(&patterns, &dir.path().join(path), is_dir) == Some(true);
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
