//! Bringing the work of a guest back, to references below `refs/banger`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use banger_api::{Progress, PulledRef, WorkspacePulled};
use banger_model::chain;

use crate::blocking::blocking;
use crate::error::Error;
use crate::filters;
use crate::guest_error::GuestError;
use crate::inspect::remember;
use crate::names::{self, BASE, Moves, Wanted};
use crate::place::Place;
use crate::placed::{Pulled, Record};
use crate::plan::Plan;
use crate::quarantine::Quarantine;
use crate::remote::MOST;
use crate::remote::{SNAPSHOT, Script};
use crate::source::Source;
use crate::source_error::SourceError;
use crate::told::{HEAD, Told};

/// The head of what a guest tells has no more bytes.
const MOST_TOLD: usize = 4 << 20;

/// Progress is told about so often.
const TELL: u64 = 1 << 20;

/// Where commits are kept that a guest dropped, and how many.
const KEPT: &str = "kept/";

const MOST_KEPT: usize = 1_000;

const WORK: &str = "pulling a workspace";

const WHAT: &str = "send its commits";

/// What there is, and a pack of what the host lacks of it. Uncommitted work is a commit of HEAD's date, so that the same work is
/// the same commit. The argument is a message; what the host has is read.
const SEND: &str = r#"
exec 3<&0 </dev/null
base=$(git rev-parse -q --verify 'refs/banger/base^{commit}') || base=
work=
if [ "$tree" != "$(git rev-parse -q --verify 'HEAD^{tree}')" ] && { [ -n "$head" ] || [ "$tree" != "$(git mktree </dev/null)" ]; }; then
  GIT_AUTHOR_NAME=banger GIT_AUTHOR_EMAIL=banger@localhost
  GIT_COMMITTER_NAME=banger GIT_COMMITTER_EMAIL=banger@localhost
  GIT_AUTHOR_DATE="@$([ -z "$head" ] && echo 0 || git log -1 --format=%ct "$head") +0000" GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
  export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE
  work=$(git commit-tree "$tree" ${head:+-p "$head"} -m "$1") || exit 1
fi
tell
{
  git for-each-ref --format='%(objectname)' refs/heads refs/stash
  [ -z "$head" ] || echo "$head"
  [ -z "$work" ] || echo "$work"
  git rev-parse -q --verify 'refs/banger/base^{commit}'
  git cat-file --batch-check='%(objectname) %(objecttype)' <&3 | sed -n 's/^\([0-9a-f]*\) commit$/^\1/p'
} | git pack-objects --quiet --revs --thin --stdout --delta-base-offset
"#;

/// Brings the work of a workspace back.
///
/// # Errors
/// When the guest does not send it, or it is not sound.
pub async fn pull(place: &Place, record: Record) -> Result<WorkspacePulled, Error> {
    let (source, old, haves) = blocking(WORK, {
        let (record, scratch) = (record.clone(), place.scratch.clone());
        move || ours(&record, &scratch)
    })
    .await?;
    let quarantine = blocking(WORK, {
        let (source, scratch) = (source.clone(), place.scratch.clone());
        move || Quarantine::make(&source, &scratch)
    })
    .await?;
    let told = receive(place, &record, &quarantine, &haves).await?;
    let told = told.apart_from(&record.guest_path, &place.records.paths());
    let left = told.lost().map(|left| left.what);
    let Wanted {
        refs: mut new,
        mut notes,
    } = names::wanted(&told);
    let prefix = format!("refs/banger/{}/", record.namespace);
    let gone = old
        .keys()
        .filter(|name| name.starts_with("heads/") && !new.contains_key(*name));
    notes.extend(gone.map(|name| format!("{prefix}{name} is kept: the guest no longer has it")));
    let settled = blocking(WORK, {
        let filtered = record.filtered.clone();
        let (prefix, base, scratch) = (prefix.clone(), record.base.clone(), place.scratch.clone());
        let (vm, guest_path) = (place.vm.clone(), record.guest_path.clone());
        move || {
            if quarantine.has(&base)? {
                new.insert(BASE.to_owned(), base);
            }
            let moved = settle(&source, &quarantine, &prefix, &old, &new, &haves)?;
            // The work is here by now, whatever is wrong with the files beside it.
            let (is_dirty, trouble) = match Plan::is_dirty(&source, &scratch) {
                Ok(is_dirty) => (is_dirty, None),
                Err(error) => (
                    true,
                    Some(format!("failed to compare the work tree: {}", chain(&error))),
                ),
            };
            let tip = tip_of(&new).and_then(|name| new.get(name));
            let mut more = match tip {
                Some(tip) => filters::unfiltered(&vm, &guest_path, &source, &filtered, tip)?,
                None => Vec::new(),
            };
            more.extend(trouble);
            Ok((moved, new, is_dirty, more))
        }
    });
    let (mut moved, new, dirty, more) = settled.await?;
    notes.extend(more);
    moved.retain(|reference| reference.name.strip_prefix(&prefix) != Some(BASE));
    let tip = tip_of(&new);
    remember(&place.records, &record.guest_path, |record| {
        record.pulled = Pulled {
            commits: new.values().cloned().collect(),
            tree: told.tree.clone(),
        };
        record.checked = Some(left.clone().unwrap_or_default());
    });
    Ok(WorkspacePulled {
        guest_path: record.guest_path,
        source: record.source,
        refs: moved,
        tip: tip.map(|name| format!("{prefix}{name}")),
        uncommitted: tip == Some("work"),
        dirty,
        carries_local_changes: record.has_changes,
        left,
        notes,
    })
}

/// The reference that has everything.
pub(crate) fn tip_of(references: &References) -> Option<&'static str> {
    ["work", "HEAD"]
        .into_iter()
        .find(|name| references.contains_key(*name))
}

type References = BTreeMap<String, String>;

/// The repository, what is below its namespace, and commits that a guest need not send.
pub(crate) fn ours(record: &Record, scratch: &Path) -> Result<(Source, References, Vec<String>), Error> {
    let moved = || Error::from(SourceError::Moved(record.source.clone()));
    let source = Source::around(&record.source, scratch).map_err(|error| match error {
        Error::Repository(banger_git::Error::Enter { .. } | banger_git::Error::NoRepository(_)) => moved(),
        error => error,
    })?;
    if source.common != record.common {
        return Err(moved());
    }
    let mut haves: Vec<String> = source.head.iter().cloned().collect();
    if let Some(head) = &record.head {
        match source.commit(head)? {
            Some(head) => haves.push(head),
            None => return Err(SourceError::BaseGone(head.clone()).into()),
        }
    }
    let old = references(&source, &record.namespace)?;
    haves.extend(old.values().cloned());
    haves.sort();
    haves.dedup();
    Ok((source, old, haves))
}

fn references(source: &Source, namespace: &str) -> Result<References, Error> {
    let prefix = format!("refs/banger/{namespace}/");
    let args = ["for-each-ref", "--format=%(objectname) %(refname)", &prefix];
    let listed = source.git().run("list references", args)?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    let named = pairs.filter_map(|(commit, name)| Some((name.strip_prefix(&prefix)?, commit)));
    Ok(named
        .map(|(name, commit)| (name.to_owned(), commit.to_owned()))
        .collect())
}

/// Takes in what the guest sends: what it has, and a pack.
async fn receive(
    place: &Place,
    record: &Record,
    quarantine: &Quarantine,
    haves: &[String],
) -> Result<Told, Error> {
    let message = format!("Uncommitted work in {}, {}", place.vm, record.guest_path);
    let script = Script {
        what: WHAT,
        text: &[SNAPSHOT, HEAD, SEND],
        args: vec![message],
        input: haves
            .iter()
            .flat_map(|have| format!("{have}\n").into_bytes())
            .collect(),
        most: MOST,
    };
    let site = place.target.at(&record.guest_path);
    let mut running = script.start(site).await?;
    let nonsense = || Error::from(GuestError::Answer { what: WHAT });
    let mut head = Vec::new();
    let end = loop {
        head.extend_from_slice(&running.next().await?.ok_or_else(nonsense)?);
        if let Some(end) = head.windows(2).position(|pair| pair == b"\n\n") {
            break end + 1;
        }
        if head.len() > MOST_TOLD {
            return Err(nonsense());
        }
    };
    let told = Told::parse(&head[..end]).ok_or_else(nonsense)?;
    let mut incoming = quarantine.begin()?;
    let mut chunk = head.split_off(end + 1);
    let (mut done, mut said) = (0, 0);
    loop {
        done += chunk.len() as u64;
        if done >= said + TELL {
            said = done;
            let what = format!("receiving from {}", place.vm);
            let total = None;
            place.say.report(Progress::Bytes { what, done, total });
        }
        if !incoming.take(&chunk).await {
            break;
        }
        match running.next().await? {
            Some(next) => chunk = next,
            None => break,
        }
    }
    incoming.end().await?;
    Ok(told)
}

/// Moves what came over, once it is known to be sound. Gives the references that are new.
fn settle(
    source: &Source,
    quarantine: &Quarantine,
    prefix: &str,
    old: &References,
    new: &References,
    haves: &[String],
) -> Result<Vec<PulledRef>, Error> {
    let tips: Vec<String> = new.values().cloned().collect();
    quarantine.check(&tips, haves)?;
    let changed: Vec<(String, String)> = new
        .iter()
        .filter(|(name, commit)| old.get(*name) != Some(commit))
        .map(|(name, commit)| (commit.clone(), format!("{prefix}{name}")))
        .collect();
    let moved = old
        .iter()
        .filter(|(name, commit)| !name.starts_with(KEPT) && new.get(*name) != Some(*commit));
    let moved: BTreeSet<&String> = moved.map(|(_, commit)| commit).collect();
    let dropped = quarantine.outside(&tips, &moved)?;
    let moves = names::moves(old, new, |commit| !dropped.contains(commit));
    let kept = old
        .keys()
        .filter(|name| name.starts_with(KEPT))
        .chain(moves.keep.keys());
    if kept.collect::<BTreeSet<_>>().len() > MOST_KEPT {
        return Err(SourceError::TooManyKept {
            prefix: format!("{prefix}{KEPT}"),
            most: MOST_KEPT,
        }
        .into());
    }
    keep(source, prefix, old, &moves)?;
    if !changed.is_empty() {
        quarantine.hand_over(source, &changed, haves)?;
    }
    let pulled = changed
        .into_iter()
        .map(|(commit, name)| PulledRef { name, commit });
    Ok(pulled.collect())
}

/// Keeps old commits, then removes what is in the way.
fn keep(source: &Source, prefix: &str, old: &References, moves: &Moves) -> Result<(), Error> {
    let mut input = String::new();
    for (name, commit) in &moves.keep {
        input.push_str(&format!("update {prefix}{name} {commit}\n"));
    }
    for (name, commit) in old.iter().filter(|(name, _)| moves.remove.contains(*name)) {
        input.push_str(&format!("delete {prefix}{name} {commit}\n"));
    }
    if input.is_empty() {
        return Ok(());
    }
    let args = ["update-ref", "--stdin"];
    source
        .git()
        .feed("keep the commits that the guest dropped", args, input.as_bytes())?;
    Ok(())
}
