//! Which references of a guest become which on the host. Pure: a guest's names are a stranger's.

use std::collections::{BTreeMap, BTreeSet};

use crate::told::Told;

/// What was placed, as the reference that work is compared with when it is applied.
pub(crate) const BASE: &str = "base";

/// More references than this are not taken.
const MOST_REFS: usize = 2_000;

/// Longer names are not taken: with what goes before them they would be too long for a file.
const LONGEST: usize = 180;

/// What the host is to have below its namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Commits by name, without what all have in front.
    pub(crate) refs: BTreeMap<String, String>,
    /// What is not taken, and why.
    pub(crate) notes: Vec<String>,
}

/// Names what a guest told of.
pub(crate) fn wanted(told: &Told) -> Wanted {
    let mut wanted = Wanted::default();
    let named = [("HEAD", &told.head), ("work", &told.work)];
    for (name, commit) in named {
        if let Some(commit) = commit {
            wanted.refs.insert(name.to_owned(), commit.clone());
        }
    }
    for (commit, name) in told.refs.iter().take(MOST_REFS) {
        let short = match name.strip_prefix("refs/") {
            Some("stash") => "stash",
            Some(branch) if branch.starts_with("heads/") => branch,
            _ => continue,
        };
        if is_sound(short) {
            wanted.refs.insert(short.to_owned(), commit.clone());
        } else {
            let shown = crate::remote::printable(name.as_bytes());
            wanted
                .notes
                .push(format!("{shown} was skipped: it is not a valid reference name"));
        }
    }
    if told.refs.len() > MOST_REFS {
        let more = told.refs.len() - MOST_REFS;
        wanted.notes.push(format!("{more} more branches were skipped"));
    }
    wanted.notes.extend(told.notes());
    wanted
}

/// Whether a name is one that git takes everywhere (git-check-ref-format(1)).
fn is_sound(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock") && !part.ends_with('.')
    };
    let bad = |char: char| char.is_control() || " ~^:?*[\\\u{fffd}".contains(char);
    name.len() <= LONGEST
        && name.split('/').all(part)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.split('/').any(|part| part == "@" || part.starts_with('-'))
        && !name.contains(bad)
}

/// What has to be done before new references can be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Old commits that no reference will have any more, by a name that keeps them.
    pub(crate) keep: BTreeMap<String, String>,
    /// Old references that are in the way of new ones, or no longer true.
    pub(crate) remove: BTreeSet<String>,
}

/// Compares what the host has with what it is to have. `is_contained` says whether a commit is a part of what comes.
pub(crate) fn moves(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    is_contained: impl Fn(&str) -> bool,
) -> Moves {
    let mut moves = Moves::default();
    for (name, commit) in old.iter().filter(|(name, _)| !name.starts_with("kept/")) {
        let blocks = |other: &String| other != name && (is_above(name, other) || is_above(other, name));
        let blocked = new.keys().any(blocks);
        let moved = new.get(name).is_some_and(|new| new != commit);
        // What is uncommitted is a picture of an instant: a new one takes the old one's place. A branch that is gone in the
        // guest stays.
        let is_picture = name == "work" || name == BASE;
        let dropped = is_picture && !new.contains_key(name);
        if blocked || dropped {
            moves.remove.insert(name.clone());
        }
        if (blocked || dropped || (moved && !is_picture)) && name != BASE && !is_contained(commit) {
            let short = &commit[..commit.len().min(16)];
            moves.keep.insert(format!("kept/{short}"), commit.clone());
        }
    }
    moves
}

/// Whether one name is a directory of another.
fn is_above(dir: &str, name: &str) -> bool {
    name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_not_taken() {
        for good in ["heads/main", "heads/feature/a-b_c", "stash", "heads/größe"] {
            assert!(is_sound(good), "{good}");
        }
        for bad in [
            "heads/../../heads/main",
            "heads/a..b",
            "heads/.a",
            "heads/a.lock",
            "heads/a.lock/b",
            "heads//a",
            "heads/",
            "heads/a b",
            "heads/a\u{1b}[2J",
            "heads/-x",
            "heads/@",
            "heads/a@{1}",
            "heads/a\\b",
            "heads/a:b",
        ] {
            assert!(!is_sound(bad), "{bad}");
        }
        assert!(!is_sound(&format!("heads/{}", "a".repeat(300))));
    }

    fn refs(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, commit)| (name.to_owned(), commit.to_owned()))
            .collect()
    }

    #[test]
    fn commits_that_a_guest_dropped_are_kept() {
        let old = refs("HEAD=1 heads/main=1 heads/gone=2 work=3");
        let new = refs("HEAD=4 heads/main=4 work=5");
        let moved = moves(&old, &new, |_| false);
        assert_eq!((moved.keep, moved.remove), (refs("kept/1=1"), BTreeSet::new()));
        assert_eq!(moves(&old, &new, |commit| commit == "1"), Moves::default());
    }

    #[test]
    fn work_that_is_gone_is_kept_and_no_longer_called_so() {
        let moved = moves(&refs("work=3 kept/9=9"), &refs("HEAD=1"), |_| false);
        assert_eq!(moved.keep, refs("kept/3=3"));
        assert_eq!(moved.remove, BTreeSet::from(["work".to_owned()]));
    }

    #[test]
    fn a_branch_may_become_a_directory_of_branches() {
        let moved = moves(&refs("heads/a=1"), &refs("heads/a/b=1"), |_| true);
        assert_eq!(moved.remove, BTreeSet::from(["heads/a".to_owned()]));
        let moved = moves(&refs("heads/a/b=1"), &refs("heads/a=2"), |_| false);
        assert_eq!(moved.keep, refs("kept/1=1"));
    }
}
