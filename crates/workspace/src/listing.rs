//! What git lists of an index.

use std::collections::BTreeSet;

use banger_git::{Git, records};

use crate::error::Error;

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// How `git ls-files -v` marks it.
    mark: u8,
    /// Its mode in git's octal digits.
    pub(crate) mode: String,
    /// Its object.
    pub(crate) object: String,
    /// 0, or the side of a conflict.
    pub(crate) stage: u8,
    /// Its path.
    pub(crate) path: Vec<u8>,
}

impl Listed {
    /// Whether it is a submodule's commit (gitformat-index(5), a gitlink).
    pub(crate) fn is_module(&self) -> bool {
        self.mode == "160000"
    }

    /// Whether it is not to be in the work tree.
    pub(crate) fn is_skipped(&self) -> bool {
        self.mark.eq_ignore_ascii_case(&b'S')
    }

    /// Whether the user said not to look whether it changed.
    pub(crate) fn is_assumed(&self) -> bool {
        self.mark.is_ascii_lowercase()
    }

    /// Whether it is an entry like most.
    pub(crate) fn is_plain(&self) -> bool {
        self.mark == b'H' && self.stage == 0 && !self.is_module()
    }
}

/// The entries of an index.
pub(crate) fn index(git: &Git) -> Result<Vec<Listed>, Error> {
    let listed = git.run("list the index", ["ls-files", "--stage", "-v", "-z"])?;
    records(&listed).map(parse).collect()
}

/// `<mark> <mode> <object> <stage>\t<path>`
fn parse(record: &[u8]) -> Result<Listed, Error> {
    let parsed = || {
        let tab = record.iter().position(|&byte| byte == b'\t')?;
        let facts = std::str::from_utf8(&record[..tab]).ok()?;
        let [mark, mode, object, stage] = facts.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Listed {
            mark: *mark.as_bytes().first()?,
            mode: mode.to_owned(),
            object: object.to_owned(),
            stage: stage.parse().ok()?,
            path: record[tab + 1..].to_vec(),
        })
    };
    parsed().ok_or(Error::Repository(banger_git::Error::Answer {
        what: "list the index",
    }))
}

/// The paths whose file is not what the index has.
pub(crate) fn modified(git: &Git) -> Result<BTreeSet<Vec<u8>>, Error> {
    let listed = git.run(
        "compare the work tree",
        ["diff-files", "--name-only", "--ignore-submodules=dirty", "-z"],
    )?;
    Ok(paths(&listed))
}

/// The paths that the index does not have as HEAD has them.
pub(crate) fn staged(git: &Git) -> Result<BTreeSet<Vec<u8>>, Error> {
    let args = [
        "diff-index",
        "--cached",
        "--name-only",
        "--ignore-submodules=dirty",
        "-z",
        "HEAD",
    ];
    Ok(paths(&git.run("compare the index", args)?))
}

/// Which of these objects git finds, in their order.
pub(crate) fn present<'a>(git: &Git, objects: impl Iterator<Item = &'a String>) -> Result<Vec<bool>, Error> {
    let names: String = objects.map(|object| format!("{object}\n")).collect();
    let args = ["cat-file", "--batch-check=%(objectname)"];
    let found = git.feed("look for objects", args, names.as_bytes())?;
    let lines = found.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| !line.ends_with(b" missing")).collect())
}

/// A name for the entries of an index, as the guest's git gives it, too.
pub(crate) fn name(git: &Git) -> Result<String, Error> {
    let listed = git.run("list the index", ["ls-files", "--stage", "-z"])?;
    let name = git.feed("name the index", ["hash-object", "--stdin"], &listed)?;
    Ok(String::from_utf8_lossy(&name).trim().to_owned())
}

/// Paths that are listed.
pub(crate) fn paths(listed: &[u8]) -> BTreeSet<Vec<u8>> {
    records(listed).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let entry = parse(b"H 100644 0123 0\ta\tb\n").unwrap();
        assert!(entry.is_plain() && !entry.is_module());
        assert_eq!(entry.path, b"a\tb\n");
        assert!(parse(b"S 100644 0123 0\tx").unwrap().is_skipped());
        assert!(parse(b"h 100644 0123 0\tx").unwrap().is_assumed());
        assert!(parse(b"H 160000 0123 0\tx").unwrap().is_module());
        assert!(!parse(b"M 100644 0123 2\tx").unwrap().is_plain());
        assert!(parse(b"H 100644 0123\tx").is_err());
    }
}
