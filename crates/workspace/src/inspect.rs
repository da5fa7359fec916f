//! What a guest has made of a workspace, as its own git tells it.

use std::time::Duration;

use banger_api::{UnsavedWorkspace, WorkspaceChange, WorkspaceStatus};
use banger_model::counted;

use crate::error::Error;
use crate::guest_error::GuestError;
use crate::placed::{Record, Records};
use crate::remote::{SNAPSHOT, Script, printable};
use crate::target::Target;

/// How long a guest may take to tell before its VM stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of what changed, which is more than what a person looks at.
const MOST: u64 = 4 << 20;

/// And the most changes, each of which takes more memory than bytes.
const MOST_CHANGES: usize = 64 << 10;

/// The head of what a guest tells; see [`Told`]. References are listed by name, so that it is the same each time.
pub(crate) const HEAD: &str = r#"
head=$(git rev-parse -q --verify 'HEAD^{commit}') || head=
tell() {
  printf 'tree %s\nhead %s\nwork %s\nbranch %s\n' "$tree" "$head" "${work:-}" "$(git symbolic-ref -q HEAD)"
  [ -z "${skipped:-}" ] || sed -n 's/^/complaint /;1,20p' "$tmp/complaints"
  git for-each-ref --format='ref %(objectname) %(refname)' refs/heads refs/stash
  echo
}
"#;

/// Sets `base` to the first of the arguments that there is.
pub(crate) const BASE: &str = r#"
base=
for name; do
  [ -n "$base" ] || [ -z "$name" ] || base=$(git rev-parse -q --verify --end-of-options "$name^{commit}") || base=
done
[ -n "$base" ] || { echo "what was placed is no longer in its repository" >&2; exit 1; }
"#;

const CHANGES: &str = r#"
tell
if [ -n "$head" ]; then git rev-list --count "$head" --not "$base"; else echo 0; fi
git diff-tree -r -z --name-status --no-renames "$base" "$tree"
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
    /// What its git says of files that it could not read.
    pub(crate) complaints: Vec<String>,
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

    /// What of it the host does not have, in words.
    fn unsaved(&self, record: &Record, commits: u64, changes: usize) -> Option<String> {
        let is_known = |commit: &String| {
            record.head.as_ref() == Some(commit)
                || record.base == *commit
                || record.pulled.commits.contains(commit)
                || record.history.commits.contains(commit)
        };
        let tips = self.refs.iter().map(|(commit, _)| commit).chain(&self.head);
        let new: std::collections::BTreeSet<&String> = tips.filter(|commit| !is_known(commit)).collect();
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

fn changed_files(changes: usize) -> String {
    counted(changes as u64, "changed file", "changed files")
}

fn is_object(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the guest has made of a workspace.
///
/// # Errors
/// When the guest is not reached, has no git, or no repository any more.
pub async fn status(target: &Target, record: &Record) -> Result<WorkspaceStatus, Error> {
    Ok(looked(target, record).await?.0)
}

async fn looked(target: &Target, record: &Record) -> Result<(WorkspaceStatus, Option<String>), Error> {
    let what = "list the changes";
    let script = Script {
        what,
        text: &[SNAPSHOT, HEAD, BASE, CHANGES],
        args: [Some(&record.base), record.head.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        input: Vec::new(),
        most: MOST,
    };
    let site = target.at(&record.guest_path);
    let output = script.output(site).await?;
    if output.iter().filter(|&&byte| byte == 0).count() > 2 * MOST_CHANGES {
        return Err(GuestError::TooMuch { what, most: MOST }.into());
    }
    let parsed = || {
        let end = output.windows(2).position(|pair| pair == b"\n\n")? + 1;
        let told = Told::parse(&output[..end])?;
        let rest = &output[end + 1..];
        let line = rest.iter().position(|&byte| byte == b'\n')?;
        let commits: u64 = std::str::from_utf8(&rest[..line]).ok()?.parse().ok()?;
        Some((told, commits, changes(&rest[line + 1..])))
    };
    let (told, commits, changes) = parsed().ok_or(GuestError::Answer { what })?;
    let unsaved = told.unsaved(record, commits, changes.len());
    let status = WorkspaceStatus {
        guest_path: record.guest_path.clone(),
        source: record.source.clone(),
        branch: told.branch.map(|branch| {
            branch
                .strip_prefix("refs/heads/")
                .map(str::to_owned)
                .unwrap_or(branch)
        }),
        head: told.head,
        commits,
        changes,
        unsaved: unsaved.is_some(),
    };
    Ok((status, unsaved))
}

/// Status and path, each ended by a NUL.
fn changes(listed: &[u8]) -> Vec<WorkspaceChange> {
    let mut records = banger_git::records(listed);
    let mut changes = Vec::new();
    while let (Some(status), Some(path)) = (records.next(), records.next()) {
        changes.push(WorkspaceChange {
            status: printable(status),
            path: printable(path),
        });
    }
    changes
}

/// What of each workspace was not brought back. A guest that runs is asked, and has three seconds; of one that does not, what
/// was seen last counts.
pub async fn unsaved(target: Option<Target>, records: &Records) -> Vec<UnsavedWorkspace> {
    unsaved_within(PATIENCE, target, records).await
}

/// The same; the guest may take as long as that to tell.
pub(crate) async fn unsaved_within(
    patience: Duration,
    target: Option<Target>,
    records: &Records,
) -> Vec<UnsavedWorkspace> {
    let asked = records.all().into_iter().map(|record| {
        let target = target.clone();
        async move {
            let seen = match &target {
                Some(target) => ask(patience, target, records, &record).await,
                None => match record.checked.clone() {
                    Some(seen) => Ok(Some(seen).filter(|seen| !seen.is_empty())),
                    None => Err("unknown: the VM ended before the workspace was checked".to_owned()),
                },
            };
            let (what, known) = match seen {
                Ok(None) => return None,
                Ok(Some(what)) => (what, true),
                Err(why) => (why, false),
            };
            Some(UnsavedWorkspace {
                guest_path: record.guest_path,
                what,
                known,
            })
        }
    });
    let asked = futures_util::future::join_all(asked).await;
    asked.into_iter().flatten().collect()
}

/// What there is, or why that cannot be told. A guest without git has no commits; its files are compared by the agent.
async fn ask(
    patience: Duration,
    target: &Target,
    records: &Records,
    record: &Record,
) -> Result<Option<String>, String> {
    let seen = match tokio::time::timeout(patience, looked(target, record)).await {
        Err(_) => return Err("unknown: the guest did not answer in time".to_owned()),
        Ok(Ok((_, unsaved))) => unsaved,
        Ok(Err(Error::Guest(GuestError::NoGit { .. }))) => {
            let site = target.at(&record.guest_path);
            let look = site.look(record.generation.as_deref(), Vec::new());
            match tokio::time::timeout(patience, look).await {
                Ok(Ok((banger_guest_api::workspace::Seen::Placed { changed, .. }, _))) => {
                    let changed = changed.len();
                    (changed > 0).then(|| changed_files(changed))
                }
                _ => return Err("unknown: the guest did not answer".to_owned()),
            }
        }
        Ok(Err(error)) => return Err(format!("unknown: {}", banger_model::chain(&error))),
    };
    remember(records, &record.guest_path, |record| {
        record.checked = Some(seen.clone().unwrap_or_default());
    });
    Ok(seen)
}

/// Changes a record, unless someone is at it.
pub(crate) fn remember(records: &Records, guest_path: &str, change: impl FnOnce(&mut Record)) {
    let Ok(_hold) = records.hold(guest_path) else {
        return;
    };
    let Some(mut record) = records.get(guest_path) else {
        return;
    };
    change(&mut record);
    if let Err(error) = records.put(&record) {
        tracing::warn!(error = %banger_model::chain(&error), "could not record the state of a workspace");
    }
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
        assert_eq!(told.unsaved(&record, 0, 2).as_deref(), Some("2 changed files"));
        record.pulled.tree = B.to_owned();
        assert_eq!(told.unsaved(&record, 0, 2), None);
        let told = Told {
            head: Some(B.to_owned()),
            ..told
        };
        assert_eq!(told.unsaved(&record, 3, 2).as_deref(), Some("3 new commits"));
    }
}
