//! Taking pulled work into the work tree on the host as it is, changes and all: what was placed, what is here now and what came
//! back are merged. A conflict is found before anything is written, and HEAD and the index stay as they are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_api::{WorkspaceApplied, WorkspaceChange, WorkspaceRequest};
use banger_git::{Git, is_git_name, records};
use banger_hostfs::{Dir, Kind, Reserve};
use banger_model::shell_word;

use crate::blocking::blocking;
use crate::error::Error;
use crate::names::BASE;
use crate::placed::{Record, Records};
use crate::plan::Plan;
use crate::pull;
use crate::remote::printable;
use crate::room;
use crate::snapshot::{self, commit_of};
use crate::source::Source;

/// Takes what was pulled into the work tree of the host.
///
/// # Errors
/// When nothing was pulled, or it cannot be merged with what is there.
pub async fn apply(
    vm: String,
    records: Records,
    record: Record,
    scratch: PathBuf,
) -> Result<WorkspaceApplied, Error> {
    let _hold = records.hold(&record.guest_path)?;
    blocking("applying work", move || merge(&vm, &record, &scratch)).await
}

/// Merges what was pulled from a VM, whose record this is, into the work tree.
fn merge(vm: &str, record: &Record, scratch: &Path) -> Result<WorkspaceApplied, Error> {
    let (source, old, _) = pull::ours(record, scratch)?;
    let prefix = format!("refs/banger/{}/", record.namespace);
    let tip = pull::tip_of(&old).and_then(|name| Some((name, old.get(name)?)));
    let nothing = || Error::NothingPulled {
        vm: vm.to_owned(),
        path: record.guest_path.clone(),
    };
    let (name, tip) = tip.ok_or_else(nothing)?;
    let base = old.get(BASE).unwrap_or(&record.base);
    if source.commit(base)?.is_none() {
        return Err(nothing());
    }
    let merge = format!(
        "git -C {} merge {prefix}{name}",
        shell_word(&source.root.to_string_lossy())
    );
    let conflict = |paths| Error::ApplyConflicts {
        paths,
        merge: merge.clone(),
    };
    let request = WorkspaceRequest {
        path: source.root.clone(),
        guest_path: record.guest_path.clone(),
        include_secrets: true,
        ..WorkspaceRequest::default()
    };
    let mut plan = Plan::make(&request, scratch)?;
    let ours = snapshot::take(&mut plan)?.tree;
    let partial = |error| source.of_partial(base, error);
    let merged = merged(&plan, &tree_of(&source, base)?, &ours, &tree_of(&source, tip)?).map_err(partial)?;
    let merged = merged.map_err(conflict)?;
    let changes = changes(&plan, &ours, &merged)?;
    let mut work = Work::of(&plan, &source)?;
    work.check_room(&changes)?;
    let conflicts = work.conflicts(&changes)?;
    if !conflicts.is_empty() {
        return Err(conflict(conflicts));
    }
    work.check_out(&merged, &changes)?;
    for change in changes.iter().filter(|change| change.is_file()) {
        work.write(change)?;
    }
    let (files, modules): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| change.is_file());
    let notes = modules
        .iter()
        .map(|change| format!("{} is unchanged: it is a submodule", printable(&change.path)));
    Ok(WorkspaceApplied {
        source: source.root,
        tip: format!("{prefix}{name}"),
        changes: files.iter().map(|change| change.view()).collect(),
        notes: notes.collect(),
    })
}

fn tree_of(source: &Source, commit: &str) -> Result<String, Error> {
    snapshot::tree_of(&source.git(), commit)
}

/// The tree of the merge, or the paths that cannot be merged.
fn merged(plan: &Plan, base: &str, ours: &str, theirs: &str) -> Result<Result<String, Vec<String>>, Error> {
    // Commits of our own, so that git takes this base and no other.
    let base = commit_of(plan, base, &[])?;
    let ours = commit_of(plan, ours, &[&base])?;
    let theirs = commit_of(plan, theirs, &[&base])?;
    let what = "merge the guest's changes";
    let args = [
        "merge-tree",
        "--write-tree",
        "--name-only",
        "--no-messages",
        "-z",
        &ours,
        &theirs,
    ];
    let (is_clean, told) = plan.stage.git(&plan.source, "index").told(what, args)?;
    let mut parts = records(&told).map(printable);
    match (parts.next(), is_clean) {
        (Some(tree), true) => Ok(Ok(tree)),
        (Some(_), false) => Ok(Err(parts.collect())),
        (None, _) => Err(banger_git::Error::Answer { what }.into()),
    }
}

/// A path that the merge changes.
#[derive(Debug)]
struct Change {
    status: u8,
    old_mode: String,
    mode: String,
    object: String,
    path: Vec<u8>,
}

impl Change {
    /// `:<old mode> <mode> <old object> <object> <status>`
    fn parse(facts: &[u8], path: &[u8]) -> Option<Self> {
        let facts = std::str::from_utf8(facts).ok()?.strip_prefix(':')?;
        let [old_mode, mode, _, object, status] = facts.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Self {
            status: *status.as_bytes().first()?,
            old_mode: old_mode.to_owned(),
            mode: mode.to_owned(),
            object: object.to_owned(),
            path: path.to_vec(),
        })
    }

    fn is_file(&self) -> bool {
        self.mode != "160000" && self.old_mode != "160000"
    }

    fn name(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    fn view(&self) -> WorkspaceChange {
        WorkspaceChange {
            status: char::from(self.status).to_string(),
            path: printable(&self.path),
        }
    }
}

fn changes(plan: &Plan, ours: &str, merged: &str) -> Result<Vec<Change>, Error> {
    let what = "compare with the merge";
    let args = [
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--full-index",
        ours,
        merged,
    ];
    let listed = plan.stage.git(&plan.source, "index").run(what, args)?;
    let mut parts = records(&listed);
    let mut changes = Vec::new();
    while let (Some(facts), Some(path)) = (parts.next(), parts.next()) {
        let change = Change::parse(facts, path);
        changes.push(change.ok_or(banger_git::Error::Answer { what })?);
    }
    Ok(changes)
}

/// The work tree, and what comes into it.
struct Work<'a> {
    plan: &'a Plan,
    root: Dir,
    reserve: Reserve,
    git: Git,
}

/// The longest target of a link, as for Linux.
const LONGEST: u64 = 4095;

/// The room that is left is looked at after so many bytes.
const STEP: u64 = 16 << 20;

impl<'a> Work<'a> {
    fn of(plan: &'a Plan, source: &Source) -> Result<Self, Error> {
        let root = Dir::open(&source.root).map_err(banger_git::Error::from)?;
        Ok(Self {
            reserve: Reserve::of(&root),
            root,
            git: plan.stage.git(&plan.source, "merged"),
            plan,
        })
    }

    /// Makes sure that what comes may be written, to the stage and then to the work tree.
    fn check_room(&self, changes: &[Change]) -> Result<(), Error> {
        let coming = changes
            .iter()
            .filter(|change| change.is_file() && change.status != b'D');
        let sizes = room::sizes(&self.git, coming.clone().map(|change| &change.object))?;
        let bytes = coming.filter_map(|change| sizes.get(&change.object).copied());
        room::check(bytes, &[self.plan.stage.tree(), &self.root])
    }

    /// What must not be written, and why.
    fn conflicts(&self, changes: &[Change]) -> Result<Vec<String>, Error> {
        let links = self.targets(changes)?;
        let mut conflicts = Vec::new();
        for change in changes.iter().filter(|change| change.is_file()) {
            let reason = self.in_the_way(change, changes).or_else(|| {
                let target = links.get(&change.path)?.as_deref();
                let leads_out = target.is_none_or(|target| leads_out(&self.root, &change.path, target));
                leads_out.then_some("leads out of the work tree")
            });
            if let Some(reason) = reason {
                conflicts.push(format!("{} ({reason})", printable(&change.path)));
            }
        }
        Ok(conflicts)
    }

    fn in_the_way(&self, change: &Change, changes: &[Change]) -> Option<&'static str> {
        if change.path.split(|&byte| byte == b'/').any(is_git_name) {
            return Some("is a git directory");
        }
        let here = match self.root.look(change.name()) {
            Ok(found) => Some(found),
            Err(error) if error.is_absent() => None,
            // A directory that becomes a link, or the other way round: what is in it goes first.
            Err(_) => return Some("is behind a link"),
        };
        let planned = self.plan.files.get(&change.path);
        match (here, planned) {
            (None, None) => None,
            (None, Some(_)) => Some("was removed meanwhile"),
            (Some(found), Some(file)) => {
                let metadata = found.metadata();
                (!file.is_as_planned(metadata)).then_some("changes meanwhile")
            }
            // A directory of which everything goes makes way.
            (Some(found), None) if found.kind() == Kind::Directory => {
                let below = [&change.path[..], b"/"].concat();
                let is_going = |path: &Vec<u8>| {
                    changes
                        .iter()
                        .any(|other| other.status == b'D' && &other.path == path)
                };
                let stays = self
                    .plan
                    .files
                    .keys()
                    .any(|path| path.starts_with(&below) && !is_going(path));
                stays.then_some("is a directory here")
            }
            (Some(_), None) => Some("exists and is not tracked"),
        }
    }

    /// Where the links lead that come; nothing of one that is no link for Linux.
    fn targets(&self, changes: &[Change]) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, Error> {
        let links = changes.iter().filter(|change| change.mode == "120000");
        let sizes = room::sizes(&self.git, links.clone().map(|change| &change.object))?;
        let read = |change: &Change| {
            if sizes.get(&change.object).is_some_and(|&size| size > LONGEST) {
                return Ok((change.path.clone(), None));
            }
            let target = self
                .git
                .run("read a link", ["cat-file", "blob", &change.object])?;
            Ok((change.path.clone(), Some(target)))
        };
        links.map(read).collect()
    }

    /// Puts the files that come into the stage, as git checks them out.
    fn check_out(&self, merged: &str, changes: &[Change]) -> Result<(), Error> {
        self.git.run("read the merge", ["read-tree", merged])?;
        let coming = changes
            .iter()
            .filter(|change| change.is_file() && change.status != b'D');
        let paths: Vec<u8> = coming
            .flat_map(|change| [&change.path[..], b"\0"].concat())
            .collect();
        let mut prefix = OsString::from("--prefix=");
        prefix.push(self.plan.stage.at("tree"));
        prefix.push("/");
        let args = ["checkout-index", "-z", "--stdin"].map(OsString::from);
        let args = args.into_iter().chain([prefix]);
        self.git.feed("check out the merge", args, &paths)?;
        Ok(())
    }

    fn write(&mut self, change: &Change) -> Result<(), Error> {
        self.put(change).map_err(Error::hosted)
    }

    fn put(&mut self, change: &Change) -> Result<(), banger_hostfs::Error> {
        let name = change.name();
        if change.status == b'D' {
            self.root.unlink(name)?;
            // Directories go with the last file, as with git.
            let above = name.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
            for dir in above {
                let is_empty = self.root.dir(dir).and_then(|dir| dir.entries());
                if !is_empty.is_ok_and(|entries| entries.is_empty()) || self.root.remove(dir).is_err() {
                    break;
                }
            }
            return Ok(());
        }
        let (above, last) = (
            name.parent().unwrap_or(Path::new("")),
            name.file_name().unwrap_or_default(),
        );
        let dir = self.made(above)?;
        let found = self.plan.stage.tree().look(name)?;
        if found.kind() == Kind::Symlink {
            let target = found.target()?;
            let hidden = banger_hostfs::Fresh::hidden_name()?;
            dir.symlink(&target, &hidden)?;
            return dir.rename(&hidden, last, true);
        }
        let mut from = found.open()?;
        let mut fresh = dir.fresh()?;
        let failed = |source: io::Error| banger_hostfs::Error::File {
            what: "write",
            path: self.root.path().join(name),
            source,
        };
        let whole = self.root.path().join(name);
        self.reserve.file(&dir, &whole, 0)?;
        // More may come than the object has: line endings, encodings and the user's own filters.
        loop {
            let mut part = io::Read::take(&mut from, STEP);
            let copied = io::copy(&mut part, fresh.file()).map_err(failed)?;
            if copied == 0 {
                break;
            }
            self.reserve.more(&dir, &whole, copied)?;
        }
        fresh
            .file()
            .set_permissions(found.metadata().permissions())
            .map_err(failed)?;
        fresh.name(last, true)
    }

    /// The directory, made if it is not there.
    fn made(&self, path: &Path) -> Result<Dir, banger_hostfs::Error> {
        let mut dir = self.root.again()?;
        for part in path.components() {
            dir = match dir.dir(part) {
                Err(error) if error.is_absent() => {
                    dir.make_dir(part, 0o777)?;
                    dir.dir(part)?
                }
                opened => opened?,
            };
        }
        Ok(dir)
    }
}

/// Whether a link at `path` leads out of the work tree, or into a git directory.
fn leads_out(root: &Dir, path: &[u8], target: &[u8]) -> bool {
    let mut above: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    above.pop();
    root.leads_out(&above, target, |at| !at.iter().any(|part| is_git_name(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_work_tree_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("nested/.git/hooks")).unwrap();
        std::fs::create_dir_all(dir.path().join("d/e")).unwrap();
        std::os::unix::fs::symlink("nested/.git", dir.path().join("own")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("d/e", dir.path().join("within")).unwrap();
        let root = Dir::open(dir.path()).unwrap();
        for (path, target, out) in [
            ("a", "b", false),
            ("a", "d/e/new", false),
            ("a", "within/new", false),
            ("a", ".gitignore", false),
            ("a/b", "../c", false),
            ("d/e/f", "../..", false),
            ("a/b", "../../c", true),
            ("a", "/etc/passwd", true),
            ("a", "etc/passwd", true),
            ("a", "..", true),
            ("a", "", true),
            ("a", "./b/../../c", true),
            // What comes before `..` may become a link.
            ("l2", "d/e/f/../../outside", true),
            ("l3", "d/e/f/.git/hooks", true),
            ("a/b", "../.git/hooks", true),
            ("hk", "nested/.git/hooks", true),
            ("hk", "own/hooks", true),
            ("hk", "nested/.GIT/hooks", true),
            ("hk", "nested/.git./hooks", true),
            ("hk", "nested/git~1/hooks", true),
            ("hk", "nested/.gi\u{200c}t/hooks", true),
        ] {
            assert_eq!(
                leads_out(&root, path.as_bytes(), target.as_bytes()),
                out,
                "{path} -> {target}"
            );
        }
        banger_cases::refused("git", "apply.link-out");
        banger_cases::refused("git", "apply.link-into-a-nested-git");
    }
}
