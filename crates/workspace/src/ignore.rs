//! What `.bangerignore` files say, those of directories included, as one file for git. They are read here and not by git: it
//! would wait for ever for one that is a pipe.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_hostfs::Dir;

/// A file in which a user names what stays behind.
pub(crate) const NAME: &str = ".bangerignore";

/// All of them have no more bytes.
const MOST: u64 = 16 << 20;

/// The directories that these paths are in, up to the top, which is the first.
pub(crate) fn directories<'a>(paths: impl Iterator<Item = &'a [u8]>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::from([PathBuf::new()]);
    for path in paths {
        let mut dir = Path::new(OsStr::from_bytes(path)).parent();
        // What is known has its own directories known.
        while let Some(next) = dir.filter(|dir| !found.contains(*dir)) {
            found.insert(next.to_owned());
            dir = next.parent();
        }
    }
    found
}

/// The patterns of the files in `dirs` of `tree` as those of one file at the top; none if there are none.
pub(crate) fn patterns(tree: &Dir, dirs: &BTreeSet<PathBuf>) -> Option<Vec<u8>> {
    // A deeper file counts before a higher one, and of one file, the last line that fits.
    let mut dirs: Vec<&PathBuf> = dirs.iter().collect();
    dirs.sort_by_key(|dir| dir.components().count());
    let (mut all, mut found) = (Vec::new(), false);
    for dir in dirs {
        let left = MOST.saturating_sub(all.len() as u64);
        if let Ok(text) = tree.read(dir.join(NAME), left) {
            found = true;
            add(&mut all, dir.as_os_str().as_bytes(), &text);
        }
    }
    found.then_some(all)
}

/// Adds the lines of a file in `dir`, so that they mean the same at the top (gitignore(5)).
fn add(all: &mut Vec<u8>, dir: &[u8], text: &[u8]) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|&byte| byte == b'\n') {
        if dir.is_empty() {
            all.extend_from_slice(line);
        } else if !line.is_empty() && line[0] != b'#' {
            let (taken_back, pattern) = match line.strip_prefix(b"!") {
                Some(pattern) => (true, pattern),
                None => (false, line),
            };
            // It fits nothing, and with a directory in front, it would.
            if pattern.iter().all(|byte| b"/ \r".contains(byte)) {
                continue;
            }
            all.extend(taken_back.then_some(b'!'));
            all.push(b'/');
            for &byte in dir {
                if b"*?[\\".contains(&byte) {
                    all.push(b'\\');
                }
                all.push(byte);
            }
            all.extend_from_slice(between(pattern));
            all.extend_from_slice(pattern);
        }
        all.push(b'\n');
    }
}

/// What is between a directory and a pattern of it: one without a slash, but for its last, fits at every depth.
fn between(pattern: &[u8]) -> &'static [u8] {
    let bare = pattern.strip_suffix(b"\r").unwrap_or(pattern);
    // Git takes spaces at the end away.
    let end = bare
        .iter()
        .rposition(|&byte| byte != b' ')
        .map_or(0, |last| last + 1);
    let body = &bare[..end];
    match body.iter().position(|&byte| byte == b'/') {
        Some(0) => b"",
        Some(at) if at + 1 < body.len() => b"/",
        _ => b"/**/",
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Files that git leaves out, with an option of `git ls-files`.
    fn named(dir: &Path, option: &str) -> Vec<String> {
        let ran = Command::new("git")
            .args(["ls-files", "-z", "--others", "--ignored", option])
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let text = String::from_utf8(ran.stdout).unwrap();
        let mut names: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
        names.sort();
        names
    }

    #[test]
    fn files_in_directories_mean_what_they_mean_for_git() {
        let dir = tempfile::tempdir().unwrap();
        let ran = Command::new("git").arg("init").arg("-q").arg(dir.path()).status();
        assert!(ran.unwrap().success());
        let deep = "a/[b]/c*\\d";
        std::fs::create_dir_all(dir.path().join(deep).join("x/y")).unwrap();
        std::fs::create_dir_all(dir.path().join("a/b/x")).unwrap();
        for place in [
            "",
            "a",
            "a/[b]",
            deep,
            "a/[b]/c*\\d/x",
            "a/[b]/c*\\d/x/y",
            "a/b",
            "a/b/x",
        ] {
            for name in ["f", "g.o", "x.log", "#h", "!i", "a b", "k "] {
                std::fs::write(dir.path().join(place).join(name), "").unwrap();
            }
        }
        let lists = |text: &str, at: &str, top: &str| {
            std::fs::write(dir.path().join(NAME), top).unwrap();
            std::fs::write(dir.path().join(at).join(NAME), text).unwrap();
            let theirs = named(dir.path(), &format!("--exclude-per-directory={NAME}"));
            let held = Dir::open(dir.path()).unwrap();
            let below = format!("{at}/x/y/f");
            let dirs = directories([below.as_bytes(), b"a/b/x/f"].into_iter());
            let ours = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(ours.path(), patterns(&held, &dirs).unwrap()).unwrap();
            let ours = named(dir.path(), &format!("--exclude-from={}", ours.path().display()));
            std::fs::remove_file(dir.path().join(at).join(NAME)).unwrap();
            (ours, theirs)
        };
        for top in ["", "*.o\n", "f", "!f\n*.log\n", "x/\n"] {
            for line in [
                "f",
                "/f",
                "x/f",
                "/x/f",
                "x/",
                "/x/",
                "*.o",
                "**/f",
                "x/**",
                "**",
                "*",
                "!f",
                "!*.o",
                "*\n!f",
                "\\#h",
                "#h",
                "\\!i",
                "!i",
                "a b",
                "f ",
                "k\\ ",
                "f\r",
                "x/\r",
                "x/ ",
                "[",
                "x[",
                "\\",
                "f\\",
                "/",
                "//",
                "x//f",
                "",
                "\n\nf\n",
                "\u{feff}f",
                "?",
                "[fg]*",
                "y/f",
                "x/*/f",
                "**/y/",
                "x/y/**",
            ] {
                let (ours, theirs) = lists(line, deep, top);
                assert_eq!(ours, theirs, "{line:?} below {top:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_none_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("elsewhere"), "f\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(NAME)).unwrap();
        std::fs::create_dir(dir.path().join("pipe")).unwrap();
        let pipe = dir.path().join("pipe").join(NAME);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        let held = Dir::open(dir.path()).unwrap();
        let dirs = directories([b"pipe/f".as_slice()].into_iter());
        assert_eq!(dirs, [PathBuf::new(), PathBuf::from("pipe")].into());
        assert_eq!(patterns(&held, &dirs), None);
        banger_cases::refused("host-files", "prepare.linked-patterns");
        banger_cases::refused("host-files", "prepare.patterns-in-a-pipe");
    }
}
