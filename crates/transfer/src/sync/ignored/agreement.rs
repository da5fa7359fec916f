//! That what our patterns mean is what git's do: compared with the git that is installed, malformed ones included.

mod samples;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use banger_hostfs::Dir;
use proptest::prelude::*;

use self::samples::{PATHS, PATTERNS, TREE, line};
use super::super::spec::Extent;
use super::Ignored;
use super::patterns::Patterns;

fn git(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut git = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    git.stdin.take().unwrap().write_all(input).unwrap();
    git.wait_with_output().unwrap().stdout
}

fn repository(fold: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q"], b"");
    let fold = if fold { "true" } else { "false" };
    git(dir.path(), &["config", "core.ignoreCase", fold], b"");
    dir
}

/// Which of `paths` are ignored: by us, and by git.
fn both(dir: &Path, fold: bool, lines: &[u8], paths: &[Vec<u8>]) -> (Vec<String>, Vec<String>) {
    std::fs::write(dir.join(".gitignore"), lines).unwrap();
    let mut input = paths.join(&0);
    input.push(0);
    let told = git(dir, &["check-ignore", "--no-index", "-z", "--stdin"], &input);
    let theirs = told.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    let held = Arc::new(Dir::open(dir).unwrap());
    let mut patterns = Patterns::new(".gitignore", dir, held, None).folding(fold);
    let mut means = |path: &[u8], is_dir| patterns.name(dir, Path::new(OsStr::from_bytes(path)), is_dir);
    let ours = paths.iter().filter(|path| {
        // None of them is there, so git takes the last part for a file.
        let slashes = (0..path.len()).filter(|&at| path[at] == b'/');
        let above: Vec<_> = slashes.map(|at| &path[..at]).collect();
        means(path, false) || above.into_iter().any(|dir| means(dir, true))
    });
    let shown = |path: &[u8]| path.escape_ascii().to_string();
    (
        ours.map(|path| shown(path)).collect(),
        theirs.map(shown).collect(),
    )
}

fn paths() -> Vec<Vec<u8>> {
    PATHS.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[test]
fn git_says_the_same() {
    let paths = paths();
    for fold in [false, true] {
        let dir = repository(fold);
        for line in PATTERNS {
            let (ours, theirs) = both(dir.path(), fold, format!("{line}\n").as_bytes(), &paths);
            assert_eq!(ours, theirs, "{line:?}, {fold}");
            // What a later line takes back, and a file without an end of its last line.
            let (ours, theirs) = both(dir.path(), fold, format!("*\n!*/\n!{line}").as_bytes(), &paths);
            assert_eq!(ours, theirs, "*, then !{line:?}, {fold}");
        }
    }
}

#[test]
fn git_says_the_same_of_each_byte_in_a_class() {
    let bytes = (1..=u8::MAX).filter(|&byte| byte != b'/');
    let paths: Vec<_> = bytes.map(|byte| vec![b'x', byte]).collect();
    let names = [
        "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "xdigit",
    ];
    let named = names.iter().map(|name| format!("x[[:{name}:]]").into_bytes());
    let others: [&[u8]; 10] = [
        b"x[!-~]",
        b"x[A-z]",
        b"x[^A-z]",
        b"x[\x01-\xff]",
        b"x[\x80-\xc0]",
        b"x[!\xe9]",
        b"x?",
        b"x\xe9",
        b"x[Z]",
        b"x[M-m]",
    ];
    for fold in [false, true] {
        let dir = repository(fold);
        for line in named.clone().chain(others.map(<[u8]>::to_vec)) {
            let (ours, theirs) = both(dir.path(), fold, &line, &paths);
            assert_eq!(ours, theirs, "{}, {fold}", line.escape_ascii());
        }
    }
}

#[test]
fn git_says_the_same_of_files_as_wholes() {
    let dir = repository(false);
    let long = "a*".repeat(20) + "b";
    let files: [&[u8]; 12] = [
        b"\xef\xbb\xbfa\nb\n",
        b"\xef\xbb\xbf#a\nb\n",
        b"\xef\xbb\xbf\xef\xbb\xbfa\n",
        b"b\n\xef\xbb\xbfa\n",
        b"a\r\nb \r\n/x.o\r\n\r\n!a\r\n",
        b"a\r\r\nb\r",
        b"a\\\r\nb\\ \r\n",
        b"a\0c\nb\n",
        b"\0\n\r\n!\r\n#\r\n!\0a\n",
        b"a/\n!a/b\n!a/b/c\n",
        b"a/*\n!a/b\n",
        b"a\xff\n\xc3?\n[\xc3\xa9]\n\\\xc3\xa9",
    ];
    let paths = paths();
    let longest = ["a".repeat(5000), "a?".repeat(3000), "[ab]".repeat(1500), long];
    for file in files
        .iter()
        .map(|file| file.to_vec())
        .chain(longest.map(String::into_bytes))
    {
        let mut paths = paths.clone();
        paths.extend([
            b"a\xff".to_vec(),
            b"\xc3x".to_vec(),
            b"\xef\xbb\xbfa".to_vec(),
            b"a".repeat(40),
        ]);
        let (ours, theirs) = both(dir.path(), false, &file, &paths);
        assert_eq!(ours, theirs, "{}", file.escape_ascii());
    }
}

/// The files that go, as we have it and as git lists them.
fn listed(dir: &Path) -> (Vec<String>, Vec<String>) {
    let told = git(dir, &["ls-files", "-z", "-co", "--exclude-standard"], b"");
    let theirs = told.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    let mut theirs: Vec<_> = theirs
        .map(|path| String::from_utf8(path.to_vec()).unwrap())
        .collect();
    theirs.retain(|path| !Ignored::is_pattern_file(Path::new(path)));
    let mut ignored = Ignored::new(dir, Arc::new(Dir::open(dir).unwrap()), Extent::WithSecrets);
    let mut ours: Vec<_> = TREE.iter().map(ToString::to_string).collect();
    ours.retain(|path| !ignored.is(Path::new(path), false));
    ours.sort();
    theirs.sort();
    (ours, theirs)
}

proptest! {
    // A repository and three programs for each.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn git_says_the_same_of_any_lines(
        lines in prop::collection::vec(line(), 1..4), fold: bool, end in prop::sample::select(vec!["\n", "\r\n"])
    ) {
        let dir = repository(fold);
        let (ours, theirs) = both(dir.path(), fold, lines.join(end).as_bytes(), &paths());
        prop_assert_eq!(ours, theirs, "{:?}", lines);
    }

    #[test]
    fn git_lists_the_same_files_of_any_tree(
        top in prop::collection::vec(line(), 0..4),
        deep in prop::collection::vec(line(), 0..3),
        own in prop::collection::vec(line(), 0..2),
        fold: bool,
    ) {
        let dir = repository(fold);
        let root = dir.path().canonicalize().unwrap();
        for path in TREE {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), "").unwrap();
        }
        for (file, lines) in [(".gitignore", &top), ("a/.gitignore", &deep), (".git/info/exclude", &own)] {
            std::fs::write(root.join(file), lines.join("\n")).unwrap();
        }
        let (ours, theirs) = listed(&root);
        prop_assert_eq!(ours, theirs, "{:?} {:?} {:?}", top, deep, own);
    }
}
