//! Which symbolic links may be made for a stranger: none by which a later write, or the user, would leave a tree.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Dir;
use crate::Kind;

/// As many links as Linux follows.
const MOST: usize = 40;

impl Dir {
    /// Whether a link with this target, in the directory `above` below this one, leads out of this one, or on its way to where
    /// `may_be` says that it may not be.
    ///
    /// It is followed in mind, as the kernel would do it with what is there now. Besides, no `..` may come after a name in it:
    /// that name could be a link by then. So each link that is made stays below wherever the links on its way lead, since
    /// they stay there, too.
    pub fn leads_out(&self, above: &[&[u8]], target: &[u8], may_be: impl Fn(&[Vec<u8>]) -> bool) -> bool {
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
            if !may_be(&at) {
                return true;
            }
            let path: PathBuf = at.iter().map(|part| OsStr::from_bytes(part)).collect();
            let Ok(found) = self.look(&path) else { continue };
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
        !may_be(&at)
    }
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
