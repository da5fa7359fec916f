//! What has to change in the guest, and what of it the guest has changed itself. Decided here, done elsewhere.
//!
//! | on the host | in the guest | |
//! |---|---|---|
//! | as it was | whatever | stays as the guest has it |
//! | changed, new or gone | as it was placed, or nothing | follows the host |
//! | changed, new or gone | changed | a conflict |

use std::collections::{BTreeMap, BTreeSet};

/// What is known of a workspace in the guest, and of the host's files.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The host's files and their tags.
    pub(crate) planned: BTreeMap<&'a [u8], &'a str>,
    /// The files that were placed and their tags.
    pub(crate) placed: &'a BTreeMap<Vec<u8>, String>,
    /// Those that the guest has changed or removed.
    pub(crate) changed: &'a BTreeSet<Vec<u8>>,
    /// Files that were never placed, and that are in the guest all the same.
    pub(crate) taken: &'a BTreeSet<Vec<u8>>,
}

/// What has to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    /// Files to write.
    pub(crate) send: BTreeSet<Vec<u8>>,
    /// Files to remove.
    pub(crate) remove: BTreeSet<Vec<u8>>,
    /// Files that the guest has changed and that stay so.
    pub(crate) kept: BTreeSet<Vec<u8>>,
    /// Of those to write or remove, the ones that the guest has changed.
    pub(crate) conflicts: BTreeSet<Vec<u8>>,
}

impl Facts<'_> {
    /// Whether what is at `path`, or in its way, was placed: a file where a directory is to be, or the other way round.
    fn is_ours(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut above = slashes.map(|(end, _)| &path[..end]);
        let below = [path, b"/"].concat();
        above.any(|above| self.placed.contains_key(above) && !self.changed.contains(above))
            || self
                .placed
                .range(below.clone()..)
                .next()
                .is_some_and(|(placed, _)| placed.starts_with(&below))
    }
}

/// Decides.
pub(crate) fn decide(facts: &Facts<'_>) -> Delta {
    let mut delta = Delta::default();
    for (&path, &tag) in &facts.planned {
        let touched = match facts.placed.get(path) {
            Some(placed) if placed == tag => {
                if facts.changed.contains(path) {
                    delta.kept.insert(path.to_vec());
                }
                continue;
            }
            Some(_) => facts.changed.contains(path),
            None => facts.taken.contains(path) && !facts.is_ours(path),
        };
        delta.send.insert(path.to_vec());
        if touched {
            delta.conflicts.insert(path.to_vec());
        }
    }
    for path in facts.placed.keys() {
        if facts.planned.contains_key(&path[..]) {
            continue;
        }
        delta.remove.insert(path.clone());
        if facts.changed.contains(path) {
            delta.conflicts.insert(path.clone());
        }
    }
    delta
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &str) -> BTreeSet<Vec<u8>> {
        paths
            .split_whitespace()
            .map(|path| path.as_bytes().to_vec())
            .collect()
    }

    fn tags(text: &str) -> BTreeMap<Vec<u8>, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(path, tag)| (path.as_bytes().to_vec(), tag.to_owned()))
            .collect()
    }

    fn decided(planned: &str, placed: &str, changed: &str, taken: &str) -> Delta {
        let (planned, placed) = (tags(planned), tags(placed));
        decide(&Facts {
            planned: planned.iter().map(|(path, tag)| (&path[..], &tag[..])).collect(),
            placed: &placed,
            changed: &set(changed),
            taken: &set(taken),
        })
    }

    #[test]
    fn the_first_time_everything_goes() {
        let delta = decided("a=1 b=2", "", "", "");
        assert_eq!((delta.send, delta.conflicts), (set("a b"), set("")));
    }

    #[test]
    fn again_only_what_differs_goes() {
        let delta = decided("a=1 b=3 new=1", "a=1 b=2 old=1", "", "");
        assert_eq!((delta.send, delta.remove), (set("b new"), set("old")));
        assert_eq!((delta.kept, delta.conflicts), (set(""), set("")));
    }

    #[test]
    fn what_the_guest_changed_alone_stays() {
        let delta = decided("a=1 b=2", "a=1 b=2", "a", "mine");
        assert_eq!((delta.kept, delta.send), (set("a"), set("")));
        assert_eq!(delta.conflicts, set(""));
    }

    #[test]
    fn a_file_becomes_a_directory_and_back() {
        let delta = decided("a/b=1 c=1", "a=1 c/d=1", "", "a/b c");
        assert_eq!((delta.send, delta.remove), (set("a/b c"), set("a c/d")));
        assert_eq!(delta.conflicts, set(""));
        assert_eq!(decided("a/b=1", "a=1", "a", "a/b").conflicts, set("a a/b"));
    }

    #[test]
    fn what_both_changed_is_a_conflict() {
        let delta = decided("a=9 new=1", "a=1 gone=1", "a gone", "new");
        assert_eq!(delta.conflicts, set("a gone new"));
    }
}
