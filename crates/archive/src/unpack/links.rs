//! Which links of an archive are made: none by which a later copy, or its user, would leave what was copied.
//!
//! A symbolic link is followed in mind, from the directory that it gets into, as the kernel would do it with what is there
//! now. Besides, no `..` may come after a name in it: that name could be a link by then. So each link that is made stays below
//! the tree wherever the links on its way lead, since they stay there, too. A hard link leads to what the same archive
//! brought, and to nothing that was there before.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use banger_hostfs::{Dir, Kind};

/// What becomes of symbolic links that lead out of what is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Links {
    /// They are made as they are: the archive is its user's own.
    #[default]
    Keep,
    /// They are left out, which a note tells.
    Within,
}

/// As many links as Linux follows.
const MOST: usize = 40;

/// What this archive brought, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Brought(HashSet<(u64, u64)>);

impl Brought {
    pub(super) fn add(&mut self, metadata: &Metadata) {
        self.0.insert((metadata.dev(), metadata.ino()));
    }

    pub(super) fn has(&self, metadata: &Metadata) -> bool {
        self.0.contains(&(metadata.dev(), metadata.ino()))
    }
}

/// Whether a link with this target, in the directory `above` below `base`, leads out of the trees called `tops`, or out of
/// `base` if that is empty.
pub(super) fn leads_out(base: &Dir, above: &[&[u8]], target: &[u8], tops: &[&[u8]]) -> bool {
    let mut named = false;
    for part in parts(target) {
        match part {
            b".." if named => return true,
            b".." => {}
            _ => named = true,
        }
    }
    let mut at: Vec<Vec<u8>> = above.iter().map(|part| part.to_vec()).collect();
    let mut rest: VecDeque<Vec<u8>> = VecDeque::new();
    let mut followed = 0;
    if !push(&mut rest, target) {
        return true;
    }
    while let Some(part) = rest.pop_front() {
        if part == b".." {
            if at.pop().is_none() {
                return true;
            }
            continue;
        }
        at.push(part);
        if !is_below(&at, tops) {
            return true;
        }
        let path: PathBuf = at.iter().map(|part| OsStr::from_bytes(part)).collect();
        let Ok(found) = base.look(&path) else { continue };
        if found.kind() != Kind::Symlink {
            continue;
        }
        followed += 1;
        let target = found.target();
        let is_passable = target.is_ok_and(|target| push(&mut rest, &target));
        if !is_passable || followed > MOST {
            return true;
        }
        at.pop();
    }
    !is_below(&at, tops)
}

fn is_below(at: &[Vec<u8>], tops: &[&[u8]]) -> bool {
    tops.is_empty() || at.first().is_some_and(|first| tops.contains(&first.as_slice()))
}

/// Puts the parts of a target in front of what is left. Not of one that begins elsewhere.
fn push(rest: &mut VecDeque<Vec<u8>>, target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return false;
    }
    let parts: Vec<_> = parts(target).map(<[u8]>::to_vec).collect();
    parts.into_iter().rev().for_each(|part| rest.push_front(part));
    true
}

fn parts(target: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = target.split(|&byte| byte == b'/');
    parts.filter(|part| !matches!(*part, b"" | b"."))
}
