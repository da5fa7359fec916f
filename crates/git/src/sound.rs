//! Whether git may be sent into a directory of the repository: nothing in there leads anywhere else or lets it wait.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::find::{CONFIG, end};
use crate::{Dir, Error, Git, settings};

/// Deeper than any directory of git's that is not made of names of references, and those are shorter than a path.
const DEEP: usize = 64;

/// How often objects are borrowed from one who borrows (git's own bound).
const LENT: usize = 5;

/// Longer than any list of alternates.
const LIST: u64 = 1 << 20;

/// Refuses links and special files below `dir`. Where `symrefs`, a link may name a reference, as git once made them.
pub(crate) fn check(dir: &Dir, symrefs: bool) -> Result<(), Error> {
    below(dir, symrefs, 0)
}

fn below(dir: &Dir, symrefs: bool, depth: usize) -> Result<(), Error> {
    for (name, kind) in dir.entries()? {
        match kind {
            FileType::RegularFile => {}
            FileType::Directory if depth < DEEP => {
                if let Some(below_it) = dir.dir(&name)? {
                    below(&below_it, symrefs, depth + 1)?;
                }
            }
            FileType::Directory => return Err(dir.odd(&name, "too deep")),
            FileType::Symlink if symrefs && dir.link(&name).is_some_and(|to| is_reference(&to)) => {}
            FileType::Symlink => return Err(dir.odd(&name, "a symbolic link")),
            _ => return Err(dir.odd(&name, "no regular file")),
        }
    }
    Ok(())
}

/// Whether a link's target is the name of a reference: git reads no file through such a link.
pub(crate) fn is_reference(target: &Path) -> bool {
    target.starts_with("refs")
        && target
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Checks the objects of the repository at `root`, and all that they are borrowed from.
pub(crate) fn objects(root: &Path, common: &Dir) -> Result<(), Error> {
    let Some(objects) = common.dir("objects")? else {
        return Err(common.odd("objects", "absent"));
    };
    lent(root, common, &objects, 0)
}

fn lent(root: &Path, common: &Dir, objects: &Dir, depth: usize) -> Result<(), Error> {
    check(objects, false)?;
    let list = objects.read("info/alternates", LIST)?.unwrap_or_default();
    for line in list.split(|&byte| byte == b'\n').map(end) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let path = objects.at(OsStr::from_bytes(&unquoted(line)));
        // Git passes over one that is not there.
        let Ok(path) = path.canonicalize() else { continue };
        let is_within = path.starts_with(root) || path.starts_with(common.path());
        if depth >= LENT || !(is_within || is_recorded(root, common, &path)?) {
            return Err(Error::Borrowed {
                repository: root.to_owned(),
                lender: path,
            });
        }
        let lender = Dir::open(&path)?;
        lent(root, common, &lender, depth + 1)?;
    }
    Ok(())
}

/// Whether the repository whose objects are at `path` names the borrower: in `banger.borrower`, or as its linked work tree.
fn is_recorded(root: &Path, common: &Dir, path: &Path) -> Result<bool, Error> {
    let Some(lender) = path.parent() else {
        return Ok(false);
    };
    let opened = Dir::open(lender)?;
    let config = opened.read("config", CONFIG)?.unwrap_or_default();
    let listed = settings::of_bytes(&Git::alone(Path::new("/")).distrusting(root), &config)?;
    let mut recorded = listed.iter().filter(|setting| setting.key == "banger.borrower");
    Ok(recorded.any(|setting| {
        let named = lender.join(&setting.value).canonicalize();
        named.is_ok_and(|named| named == root || named == common.path())
    }))
}

/// A line that may be quoted as C quotes (git's `unquote_c_style`).
fn unquoted(line: &[u8]) -> Vec<u8> {
    let Some(inner) = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")) else {
        return line.to_vec();
    };
    let mut bytes = Vec::new();
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'a') => bytes.push(7),
            Some(b'b') => bytes.push(8),
            Some(b'f') => bytes.push(12),
            Some(b'v') => bytes.push(11),
            Some(first @ b'0'..=b'3') => {
                let digits = [Some(first), rest.next(), rest.next()];
                let value = digits.iter().flatten().fold(0_u32, |value, digit| {
                    value * 8 + u32::from(digit.wrapping_sub(b'0'))
                });
                bytes.push(u8::try_from(value & 0xff).unwrap_or_default());
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    bytes
}

/// A path as a line of alternates that git reads as this path.
pub(crate) fn alternate(path: &Path) -> OsString {
    let mut line = vec![b'"'];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            _ => line.push(byte),
        }
    }
    line.push(b'"');
    OsString::from_vec(line)
}

/// The path of the objects of a repository, for git.
pub(crate) fn objects_path(common: &Dir) -> PathBuf {
    common.at("objects")
}
