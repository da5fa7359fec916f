//! The head of what a guest's git tells of a workspace, and what of it the host does not have.

use std::collections::BTreeSet;

use banger_model::counted;

use crate::placed::Record;
use crate::remote::printable;

/// What words begin with that say that nothing is known; they are recorded so.
const UNKNOWN: &str = "unknown: ";

/// So many names are shown.
const SHOWN: usize = 5;

/// Prints the head of what a guest tells; see [`Told`]. References are listed by name, so that it is the same each time. `$base` is
/// what was placed: a gitlink that is not in it is a repository that was made in the guest.
pub(crate) const HEAD: &str = r#"
head=$(git rev-parse -q --verify 'HEAD^{commit}') || head=
tab=$(printf '\t')
tell() {
  printf 'tree %s\nhead %s\nwork %s\nbranch %s\n' "$tree" "$head" "${work:-}" "$(git symbolic-ref -q HEAD)"
  if [ -n "${skipped:-}" ]; then
    echo 'partial yes'
    sed -n 's/^/complaint /;1,20p' "$tmp/complaints" 2>/dev/null
  fi
  listed=$(git diff-tree -r --no-renames --ignore-submodules=none "${base:-$(git mktree </dev/null)}" "$tree") || exit 1
  printf '%s\n' "$listed" | sed -n "s/^:[0-9]* 160000 [^$tab]*[AT]$tab/nested /p" | sed -n 1,200p
  git for-each-ref --format='ref %(objectname) %(refname)' refs/heads refs/stash
  echo
}
"#;

/// The head of what a guest tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The tree of its files as they are.
    pub(crate) tree: String,
    /// The commit of HEAD.
    pub(crate) head: Option<String>,
    /// A commit of what is not committed, if there is any.
    pub(crate) work: Option<String>,
    /// The branch, as its whole reference.
    pub(crate) branch: Option<String>,
    /// Its branches and stash: commit and name.
    pub(crate) refs: Vec<(String, String)>,
    /// Whether its git could not read all files.
    pub(crate) is_partial: bool,
    /// What its git says of them.
    pub(crate) complaints: Vec<String>,
    /// Repositories inside that were made in the guest: no more than the name of their commit comes with this one.
    pub(crate) nested: Vec<String>,
}

/// What the host does not have of a guest's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// What there is, in words.
    pub(crate) what: String,
    /// Whether that is known, or could not be told.
    pub(crate) known: bool,
}

impl Left {
    /// Work that nobody can tell of.
    pub(crate) fn unknown(why: impl std::fmt::Display) -> Self {
        Self {
            what: format!("{UNKNOWN}{why}"),
            known: false,
        }
    }

    /// What was recorded in words.
    pub(crate) fn recorded(what: &str) -> Option<Self> {
        (!what.is_empty()).then(|| Self {
            what: what.to_owned(),
            known: !what.starts_with(UNKNOWN),
        })
    }
}

impl Told {
    /// Reads it; nothing when it is no such thing.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut told = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let (key, value) = line.split_once(' ')?;
            let object = || (value.is_empty() || is_object(value)).then(|| value.to_owned());
            match key {
                "tree" => told.tree = object().filter(|tree| !tree.is_empty())?,
                "head" => told.head = object().filter(|head| !head.is_empty()),
                "work" => told.work = object().filter(|work| !work.is_empty()),
                "branch" => {
                    told.branch = Some(printable(value.as_bytes())).filter(|branch| !branch.is_empty())
                }
                "partial" => told.is_partial = true,
                "nested" => told.nested.push(printable(value.as_bytes())),
                "complaint" => told.complaints.push(printable(value.as_bytes())),
                "ref" => {
                    let (commit, name) = value.split_once(' ')?;
                    let commit = is_object(commit).then(|| commit.to_owned())?;
                    told.refs.push((commit, name.to_owned()));
                }
                _ => return None,
            }
        }
        (!told.tree.is_empty()).then_some(told)
    }

    /// Takes the workspaces at `placed` out of the repositories inside: these are asked themselves.
    pub(crate) fn apart_from(mut self, guest_path: &str, placed: &[String]) -> Self {
        let own = |path: &String| placed.contains(&format!("{}/{path}", guest_path.trim_end_matches('/')));
        self.nested.retain(|path| !own(path));
        self
    }

    /// What no pull brings, a line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .complaints
            .iter()
            .map(|words| format!("in the guest, {words}"))
            .collect();
        if self.is_partial {
            notes.push("git in the guest could not read all files: those are not pulled".to_owned());
        }
        let nested = self.nested.iter();
        notes.extend(nested.map(|path| {
            format!("{path} in the guest is a repository of its own: its commits and files are not pulled")
        }));
        notes
    }

    /// What no pull brings, in words.
    pub(crate) fn lost(&self) -> Option<Left> {
        let mut lost = Vec::new();
        if self.is_partial {
            let words = self.complaints.first().map(|words| format!(" ({words})"));
            lost.push(format!(
                "git in the guest could not read all files{}",
                words.unwrap_or_default()
            ));
        }
        if !self.nested.is_empty() {
            let more = self.nested.len().saturating_sub(SHOWN);
            let shown = self.nested[..self.nested.len().min(SHOWN)].join(", ");
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            lost.push(format!(
                "repositories inside, which are not pulled: {shown}{more}"
            ));
        }
        (!lost.is_empty()).then(|| Left::unknown(lost.join("; ")))
    }

    /// What of it the host does not have.
    pub(crate) fn unsaved(&self, record: &Record, commits: u64, changes: usize) -> Option<Left> {
        let work = self.work(record, commits, changes);
        match (work, self.lost()) {
            (Some(what), None) => Some(Left { what, known: true }),
            (Some(work), Some(Left { what, .. })) => Some(Left {
                what: format!("{what}; {work}"),
                known: false,
            }),
            (None, lost) => lost,
        }
    }

    /// What a pull would bring, in words.
    fn work(&self, record: &Record, commits: u64, changes: usize) -> Option<String> {
        let is_known = |commit: &String| {
            record.head.as_ref() == Some(commit)
                || record.base == *commit
                || record.pulled.commits.contains(commit)
                || record.history.commits.contains(commit)
        };
        let tips = self.refs.iter().map(|(commit, _)| commit).chain(&self.head);
        let new: BTreeSet<&String> = tips.filter(|commit| !is_known(commit)).collect();
        let is_committed = self.tree == record.base_tree || self.tree == record.pulled.tree;
        match (new.len(), is_committed) {
            (0, true) => None,
            (0, false) => Some(changed_files(changes)),
            (_, true) if commits == 0 => Some(counted(new.len() as u64, "new branch", "new branches")),
            (_, true) => Some(counted(commits, "new commit", "new commits")),
            (_, false) => {
                let commits = counted(commits, "new commit", "new commits");
                Some(format!("{commits}, {}", changed_files(changes)))
            }
        }
    }
}

pub(crate) fn changed_files(changes: usize) -> String {
    counted(changes as u64, "changed file", "changed files")
}

fn is_object(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn what_a_guest_tells_is_read_or_refused() {
        let text = format!("tree {A}\nhead {B}\nwork \nbranch refs/heads/main\nref {B} refs/heads/main\n");
        let told = Told::parse(text.as_bytes()).unwrap();
        assert_eq!((told.head.as_deref(), told.work), (Some(B), None));
        for bad in [
            "",
            "head x",
            "tree ",
            "tree --upload-pack=x",
            "what else",
            &format!("tree {A}\nref -x refs/heads/a"),
            &format!("tree {A}\nref {B}"),
        ] {
            assert_eq!(Told::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn work_is_what_was_neither_placed_nor_pulled() {
        let mut record = Record {
            base_tree: A.to_owned(),
            head: Some(A.to_owned()),
            ..Record::default()
        };
        let told = Told {
            tree: B.to_owned(),
            head: Some(A.to_owned()),
            ..Told::default()
        };
        assert_eq!(told.work(&record, 0, 2).as_deref(), Some("2 changed files"));
        record.pulled.tree = B.to_owned();
        assert_eq!(told.unsaved(&record, 0, 2), None);
        let told = Told {
            head: Some(B.to_owned()),
            ..told
        };
        assert_eq!(told.work(&record, 3, 2).as_deref(), Some("3 new commits"));
    }

    #[test]
    fn what_cannot_be_told_counts_as_unsaved() {
        let record = Record {
            base_tree: A.to_owned(),
            ..Record::default()
        };
        let text = format!(
            "tree {A}\nhead \nwork \nbranch \npartial yes\ncomplaint error: x\nnested lib\nnested own\n"
        );
        let told = Told::parse(text.as_bytes()).unwrap();
        let told = told.apart_from("/work", &["/work/own".to_owned()]);
        let left = told.unsaved(&record, 0, 0).unwrap();
        assert!(!left.known && left.what.contains("error: x") && left.what.ends_with("not pulled: lib"));
        assert_eq!(Left::recorded(&left.what), Some(left));
        assert_eq!(told.notes().len(), 3);
        // One of which even the complaints could not be written.
        let told = Told::parse(format!("tree {A}\npartial yes\n").as_bytes()).unwrap();
        assert!(told.unsaved(&record, 0, 0).is_some() && told.notes().len() == 1);
    }
}
