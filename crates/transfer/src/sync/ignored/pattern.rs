//! Patterns in the language of gitignore(5), read and matched in the very steps of git's `dir.c`: what is malformed means what it
//! means to git, and literal beginnings are taken off before a pattern is matched. A test
//! compares all of it with git.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::wildmatch::{self, Mode};

/// What has a meaning in a pattern.
const SPECIAL: &[u8] = b"*?[\\";

/// The patterns of one file, which count from a directory on.
#[derive(Debug, Default)]
pub(super) struct File {
    dir: PathBuf,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: Vec<u8>,
    negative: bool,
    /// It is of directories only.
    of_dirs: bool,
    /// It is of a name in any directory.
    of_names: bool,
    /// The length of what it begins with that has no special meaning.
    literal: usize,
    /// A star, and then nothing with a special meaning.
    is_end: bool,
}

impl File {
    /// Reads what a file says.
    pub(super) fn parse(dir: &Path, text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|&byte| byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty() && line[0] != b'#');
        Self {
            dir: dir.to_owned(),
            patterns: lines.map(Pattern::parse).collect(),
        }
    }

    /// Whether `path`, which is absolute, is ignored; nothing if no pattern is of it. The last one counts. Whether letters match
    /// in either case is `fold`.
    pub(super) fn said(&self, path: &Path, is_dir: bool, fold: bool) -> Option<bool> {
        let path = path.strip_prefix(&self.dir).ok()?.as_os_str().as_bytes();
        let mut patterns = self.patterns.iter().rev();
        let found = patterns.find(|pattern| pattern.matches(path, is_dir, fold))?;
        Some(!found.negative)
    }
}

impl Pattern {
    fn parse(line: &[u8]) -> Self {
        let line = trimmed(line.strip_suffix(b"\r").unwrap_or(line));
        // To git, it is a string of C.
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let (line, negative) = match line.strip_prefix(b"!") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let is_end = line.first() == Some(&b'*') && line[1..].find_byteset(SPECIAL).is_none();
        let (text, of_dirs) = match line.strip_suffix(b"/") {
            Some(text) => (text, true),
            None => (line, false),
        };
        Self {
            negative,
            of_dirs,
            of_names: !text.contains(&b'/'),
            literal: text.find_byteset(SPECIAL).unwrap_or(text.len()),
            is_end,
            text: text.to_vec(),
        }
    }

    /// Whether it is of a path below the directory of its file.
    fn matches(&self, path: &[u8], is_dir: bool, fold: bool) -> bool {
        if self.of_dirs && !is_dir {
            return false;
        }
        if self.of_names {
            let name = path.rfind_byte(b'/').map_or(path, |at| &path[at + 1..]);
            return self.matches_name(name, fold);
        }
        let (text, literal) = match self.text.strip_prefix(b"/") {
            Some(text) => (text, self.literal.saturating_sub(1)),
            None => (&self.text[..], self.literal),
        };
        let (literal, text) = text.split_at(literal);
        let Some((begin, path)) = path.split_at_checked(literal.len()) else {
            return false;
        };
        same(literal, begin, fold) && wildmatch::matches(text, path, Mode { path: true, fold })
    }

    fn matches_name(&self, name: &[u8], fold: bool) -> bool {
        if self.literal == self.text.len() {
            same(&self.text, name, fold)
        } else if self.is_end {
            let end = &self.text[1..];
            let begin = name.len().checked_sub(end.len());
            begin.is_some_and(|begin| same(end, &name[begin..], fold))
        } else {
            wildmatch::matches(&self.text, name, Mode { path: false, fold })
        }
    }
}

fn same(one: &[u8], other: &[u8], fold: bool) -> bool {
    one == other || fold && one.eq_ignore_ascii_case(other)
}

/// A line without the spaces at its end, but for one that is escaped.
fn trimmed(line: &[u8]) -> &[u8] {
    let mut end = None;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => {
                end.get_or_insert(at);
            }
            b'\\' if at + 1 == line.len() => return line,
            b'\\' => {
                at += 1;
                end = None;
            }
            _ => end = None,
        }
        at += 1;
    }
    &line[..end.unwrap_or(line.len())]
}
