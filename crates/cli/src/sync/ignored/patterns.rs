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
            held,
            above,
            below: HashMap::new(),
        }
    }

    /// Adds patterns that count after all there are.
    pub(super) fn add(&mut self, patterns: File) {
        self.above.push(patterns);
    }

    /// Whether `path` below `root` is named, whatever is said of the directories that it is in.
    pub(super) fn name(&mut self, root: &Path, path: &Path, is_dir: bool) -> bool {
        let whole = root.join(path);
        for dir in path.ancestors().skip(1) {
            if let Some(said) = self.of(root, dir).said(&whole, is_dir) {
                return said;
            }
        }
        let mut above = self.above.iter();
        above.find_map(|file| file.said(&whole, is_dir)).unwrap_or(false)
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
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    use proptest::prelude::*;

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let init = Command::new("git")
            .arg("-C")
            .arg(dir.path())
            .args(["init", "-q"])
            .status();
        assert!(init.unwrap().success());
        dir
    }

    /// Which of `paths` are ignored: by git, and by us.
    fn both(dir: &Path, lines: &[u8], paths: &[&str]) -> (Vec<String>, Vec<String>) {
        std::fs::write(dir.join(".gitignore"), lines).unwrap();
        let mut input = paths.join("\0").into_bytes();
        input.push(0);
        let mut git = Command::new("git")
            .arg("-C")
            .arg(dir)
            .args(["check-ignore", "--no-index", "-z", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(&input).unwrap();
        let told = git.wait_with_output().unwrap();
        let theirs = told
            .stdout
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty());
        let theirs = theirs
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        let held = Arc::new(Dir::open(dir).unwrap());
        let mut patterns = Patterns::new(".gitignore", dir, held, None);
        let mut means = |path: &str, is_dir| patterns.name(dir, Path::new(path), is_dir);
        let ours = paths.iter().filter(|path| {
            // None of them is there, so git takes the last part for a file.
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            means(path, false) || above.into_iter().any(|dir| means(dir, true))
        });
        (theirs, ours.map(ToString::to_string).collect())
    }

    const PATHS: &[&str] = &[
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
        "m.pyc",
        "m.py{}",
        "m.py",
        "m.js",
        "m.map",
        "m.{js,map}",
        "{{x}}.yml",
        "x.yml",
        "a{",
        "a}",
        "[",
        "[a",
        "a[",
        "\\",
        "a\\b",
        "-",
        "^",
        "a-b",
        "A",
        "Z",
        "é",
        "a\r",
        "\t",
        "a,b",
        "{a,b}",
        "$x",
        "x/{a}/b",
        "a/**",
        "**",
        "~",
        "a]b",
        "[a]",
        "a  ",
        "\\a",
        "?",
        "x y/z",
    ];

    #[test]
    fn git_says_the_same() {
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
            "[^ab]",
            "[a-c]x",
            "[]a]",
            "[!]]",
            "\\!a",
            "\\#a",
            "a\\ ",
            "a ",
            "a  ",
            "a\\  ",
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
            "*.py{}",
            "*.{js,map}",
            "/{{x}}.yml",
            "a{",
            "[",
            "\\",
            "\\\\",
            "a\\",
            "[[:alpha:]]",
            "[[:upper:]]",
            "[[:nope:]]",
            "[[:alpha:]",
            "[a-]",
            "[-a]",
            "[z-a]",
            "[\\]]",
            "[a\\]b]",
            "{a,b}",
            "{a,b",
            "a,b",
            "!a",
            "!",
            "!!a",
            "#a",
            "a\r",
            "\t",
            "\\a",
            "***",
            "a/***/b",
            "**a",
            "**/",
            "/",
            "//",
            "./a",
            "../a",
            "$x",
            "\\$x",
            "[!a-z]",
            "[^\\^]",
            "[\\-]",
            "é",
            "?\\?",
            "[é]",
            "x\\ y",
            "~",
            "a/**b",
            "a**/b",
            "**/**",
            "[[-a]",
            "[a-\\z]",
            "[[:digit:][:alpha:]]",
            "\u{feff}a",
        ];
        let dir = repository();
        for line in globs {
            let (theirs, ours) = both(dir.path(), format!("{line}\n").as_bytes(), PATHS);
            assert_eq!(ours, theirs, "{line:?}");
            // What a later line takes back, and a file without an end of its last line.
            let (theirs, ours) = both(dir.path(), format!("*\n!*/\n!{line}").as_bytes(), PATHS);
            assert_eq!(ours, theirs, "*, then !{line:?}");
        }
    }

    /// What patterns are made of, and malformed ones. Not a class without its end behind a star (`*/[[:x]`), of which gitoxide
    /// 0.29 says less than git: such a file is sent.
    fn line() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "a",
            "b",
            "x",
            ".o",
            "*",
            "**",
            "?",
            "/",
            "/**/",
            "[",
            "]",
            "[a",
            "[!a]",
            "[a-c]",
            "[[:alpha:]]",
            "\\",
            "\\\\",
            "{",
            "}",
            ",",
            "{a,b}",
            " ",
            "!",
            "#",
            "-",
            "\\ ",
            "\t",
            ".",
            "..",
            "é",
            "$",
        ]);
        prop::collection::vec(parts, 1..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn git_says_the_same_of_any_lines(lines in prop::collection::vec(line(), 1..4)) {
            let dir = repository();
            let (theirs, ours) = both(dir.path(), lines.join("\n").as_bytes(), PATHS);
            prop_assert_eq!(ours, theirs, "{:?}", lines);
        }
    }

    #[test]
    fn a_file_of_patterns_that_is_a_link_is_not_read() {
        let dir = repository();
        std::fs::write(dir.path().join("elsewhere"), "a\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(".gitignore")).unwrap();
        let held = Arc::new(Dir::open(dir.path()).unwrap());
        let mut patterns = Patterns::new(".gitignore", dir.path(), held, None);
        assert!(!patterns.name(dir.path(), Path::new("a"), false));
        banger_cases::refused("host-files", "sync.linked-patterns");
    }
}
