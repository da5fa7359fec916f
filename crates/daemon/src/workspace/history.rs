//! Which commits go: so many from HEAD on, and where that cuts history off.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;
use super::source::Source;

/// How many commits go when nobody says.
pub(crate) const DEPTH: u32 = 10;

/// Commits that a guest has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    /// Whether it has all that the source has below its tips.
    pub(crate) full: bool,
    /// The commits, when it is not full.
    pub(crate) commits: BTreeSet<String>,
    /// Those of them whose parents it does not have (gitrepository-layout(5), `shallow`).
    pub(crate) shallow: BTreeSet<String>,
}

impl History {
    /// The history of `tips` on top of what is `known`, `depth` commits deep; all of it when that is 0.
    pub(crate) fn of(source: &Source, tips: &[String], depth: u32, known: &Self) -> Result<Self, Error> {
        let cut: BTreeSet<String> = source.shallow().into_iter().collect();
        if depth == 0 {
            return Self::whole(source, tips, cut);
        }
        let mut history = Self {
            full: false,
            ..known.clone()
        };
        let mut level: BTreeSet<String> = tips.iter().cloned().collect();
        for left in (0..depth).rev() {
            level.retain(|commit| !history.commits.contains(commit));
            if level.is_empty() {
                break;
            }
            let family = parents(source, &level)?;
            history.commits.append(&mut level);
            for (commit, parents) in family {
                let cut_here = left == 0 && !parents.iter().all(|parent| history.commits.contains(parent));
                if cut.contains(&commit) || cut_here {
                    history.shallow.insert(commit);
                } else {
                    level.extend(parents);
                }
            }
        }
        Ok(history)
    }

    fn whole(source: &Source, tips: &[String], cut: BTreeSet<String>) -> Result<Self, Error> {
        let mut shallow = BTreeSet::new();
        if !cut.is_empty() {
            let listed = source
                .git()
                .feed("list commits", ["rev-list", "--stdin"], &lines(tips))?;
            let listed = String::from_utf8_lossy(&listed).into_owned();
            shallow = listed
                .lines()
                .filter(|commit| cut.contains(*commit))
                .map(str::to_owned)
                .collect();
        }
        Ok(Self {
            full: true,
            commits: BTreeSet::new(),
            shallow,
        })
    }

    /// Where history is cut off, as a file of git's.
    pub(crate) fn cut_off(&self) -> String {
        self.shallow.iter().map(|commit| format!("{commit}\n")).collect()
    }
}

/// What `git rev-list` reads: `tips` and all that belongs to them, but for what belongs to `haves`.
pub(crate) fn wanted(tips: &[String], haves: &[String]) -> Vec<u8> {
    let mut input = lines(tips);
    let excluded: Vec<String> = haves.iter().map(|have| format!("^{have}")).collect();
    input.extend(lines(&excluded));
    input
}

fn lines(names: &[String]) -> Vec<u8> {
    names
        .iter()
        .flat_map(|name| format!("{name}\n").into_bytes())
        .collect()
}

/// Commits with their parents.
fn parents(source: &Source, commits: &BTreeSet<String>) -> Result<Vec<(String, Vec<String>)>, Error> {
    let commits: Vec<String> = commits.iter().cloned().collect();
    let args = ["rev-list", "--no-walk=unsorted", "--parents", "--stdin"];
    let listed = source.git().feed("list commits", args, &lines(&commits))?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let family = listed.lines().map(|line| {
        let mut names = line.split(' ').map(str::to_owned);
        (names.next().unwrap_or_default(), names.collect())
    });
    Ok(family.collect())
}
