//! What a guest has made of a workspace, as its own git tells it.

use std::time::Duration;

use banger_api::{UnsavedWorkspace, WorkspaceChange, WorkspaceStatus};

use crate::error::Error;
use crate::guest_error::GuestError;
use crate::placed::{Record, Records};
use crate::remote::{SNAPSHOT, Script, printable};
use crate::target::Target;
use crate::told::{HEAD, Left, Told, changed_files};

/// How long a guest may take to tell before its VM stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of what changed, which is more than what a person looks at.
const MOST: u64 = 4 << 20;

/// And the most changes, each of which takes more memory than bytes.
const MOST_CHANGES: usize = 64 << 10;

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
git diff-tree -r -z --name-status --no-renames --ignore-submodules=none "$base" "$tree"
"#;

/// What the guest has made of a workspace, which is one of these.
///
/// # Errors
/// When the guest is not reached, has no git, or no repository any more.
pub async fn status(target: &Target, records: &Records, record: &Record) -> Result<WorkspaceStatus, Error> {
    Ok(looked(target, records, record).await?.0)
}

async fn looked(
    target: &Target,
    records: &Records,
    record: &Record,
) -> Result<(WorkspaceStatus, Option<Left>), Error> {
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
    let told = told.apart_from(&record.guest_path, &records.paths());
    let unsaved = told.unsaved(record, commits, changes.len());
    let status = WorkspaceStatus {
        notes: told.notes(),
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
                None => match &record.checked {
                    Some(seen) => Left::recorded(seen),
                    None => Some(Left::unknown("the VM ended before the workspace was checked")),
                },
            };
            let Left { what, known } = seen?;
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

/// What there is, or why that cannot be told. It is recorded either way: what was seen before that no longer counts.
async fn ask(patience: Duration, target: &Target, records: &Records, record: &Record) -> Option<Left> {
    let seen = answer(patience, target, records, record)
        .await
        .unwrap_or_else(|why| Some(Left::unknown(why)));
    remember(records, &record.guest_path, |record| {
        record.checked = Some(seen.as_ref().map(|left| left.what.clone()).unwrap_or_default());
    });
    seen
}

/// A guest without git has no commits; its files are compared by the agent.
async fn answer(
    patience: Duration,
    target: &Target,
    records: &Records,
    record: &Record,
) -> Result<Option<Left>, String> {
    match tokio::time::timeout(patience, looked(target, records, record)).await {
        Err(_) => Err("the guest did not answer in time".to_owned()),
        Ok(Ok((_, unsaved))) => Ok(unsaved),
        Ok(Err(Error::Guest(GuestError::NoGit { .. }))) => {
            let site = target.at(&record.guest_path);
            let look = site.look(record.generation.as_deref(), Vec::new());
            match tokio::time::timeout(patience, look).await {
                Ok(Ok((banger_guest_api::workspace::Seen::Placed { changed, .. }, _))) => {
                    let changed = changed.len();
                    Ok((changed > 0).then(|| Left {
                        what: changed_files(changed),
                        known: true,
                    }))
                }
                _ => Err("the guest did not answer".to_owned()),
            }
        }
        Ok(Err(error)) => Err(banger_model::chain(&error)),
    }
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
