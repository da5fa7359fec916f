//! Which commits go: so many from HEAD on, and where that cuts history off.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};

use banger_confined::Child;
use banger_git::PACKING;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::source::Source;

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
        let mut parents = None;
        for left in (0..depth).rev() {
            level.retain(|commit| !history.commits.contains(commit));
            if level.is_empty() {
                break;
            }
            if parents.is_none() {
                parents = Some(Parents::start(source)?);
            }
            let Some(git) = &mut parents else { break };
            let family = git.of(&level)?;
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
        parents.map_or(Ok(()), Parents::end)?;
        Ok(history)
    }

    fn whole(source: &Source, tips: &[String], cut: BTreeSet<String>) -> Result<Self, Error> {
        let mut shallow = BTreeSet::new();
        if !cut.is_empty() {
            let listed = source
                .git()
                .within(PACKING)
                .feed(WHAT, ["rev-list", "--stdin"], &lines(tips))?;
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

/// A git that names the parents of commits.
struct Parents {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

const WHAT: &str = "list commits";

/// So many are asked for at once: their names fit into a pipe, so that writing them waits for nobody.
const AT_ONCE: usize = 64;

/// Parents come first in a commit; what has more of them than fit in here was made by nobody's work.
const HEAD: u64 = 1 << 20;

impl Parents {
    fn start(source: &Source) -> Result<Self, Error> {
        let mut child = source.git().start(WHAT, ["cat-file", "--batch"])?;
        let (Some(to), Some(from)) = (child.take_stdin(), child.take_stdout()) else {
            return Err(answer());
        };
        let from = BufReader::new(from);
        Ok(Self { child, to, from })
    }

    fn of(&mut self, commits: &BTreeSet<String>) -> Result<Vec<(String, Vec<String>)>, Error> {
        let commits: Vec<String> = commits.iter().cloned().collect();
        let mut family = Vec::new();
        for some in commits.chunks(AT_ONCE) {
            let told = self.to.write_all(&lines(some)).and_then(|()| self.to.flush());
            for commit in some {
                let parents = told.as_ref().ok().and_then(|()| self.one().ok().flatten());
                match parents {
                    Some(parents) => family.push((commit.clone(), parents)),
                    None => return Err(answer()),
                }
            }
        }
        Ok(family)
    }

    /// `<name> commit <size>`, and the commit; nothing when it is something else.
    fn one(&mut self) -> std::io::Result<Option<Vec<String>>> {
        let mut line = String::new();
        self.from.by_ref().take(HEAD).read_line(&mut line)?;
        let Some((_, size)) = line.trim_end().split_once(" commit ") else {
            return Ok(None);
        };
        let Ok(size) = size.parse::<u64>() else {
            return Ok(None);
        };
        let mut head = Vec::new();
        self.from.by_ref().take(size.min(HEAD)).read_to_end(&mut head)?;
        let rest = size - head.len() as u64 + 1;
        std::io::copy(&mut self.from.by_ref().take(rest), &mut std::io::sink())?;
        let head = String::from_utf8_lossy(&head);
        let head = head.lines().take_while(|line| !line.is_empty());
        let parents = head.filter_map(|line| line.strip_prefix("parent "));
        Ok(Some(parents.map(str::to_owned).collect()))
    }

    fn end(self) -> Result<(), Error> {
        drop(self.to);
        self.child
            .wait()
            .map(drop)
            .map_err(|error| Error::Repository(error.into()))
    }
}

fn answer() -> Error {
    Error::Repository(banger_git::Error::Answer { what: WHAT })
}
