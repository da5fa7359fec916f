//! What was placed as a commit: HEAD with the changes that go along. The guest gets it as `refs/banger/base`, so that what
//! the guest changes can be told from what was changed before.

use std::collections::BTreeSet;

use banger_git::{Git, records};
use banger_hostfs::Kind;

use crate::error::Error;
use crate::listing::{self, Listed};
use crate::plan::Plan;

/// Its reference in the guest.
pub(crate) const BASE: &str = "refs/banger/base";

/// A commit and its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The commit.
    pub(crate) commit: String,
    /// Its tree.
    pub(crate) tree: String,
}

/// Makes the commit, and names the content of the plan's files by its objects. Its objects are the stage's.
pub(crate) fn take(plan: &mut Plan) -> Result<Snapshot, Error> {
    if !plan.as_is {
        return of_commit(plan);
    }
    plan.stage.copy_index(&plan.stage.at("index"), "placed")?;
    let git = plan
        .stage
        .git(&plan.source, "placed")
        .setting("core.compression=1");
    let (paths, behind) = changed_paths(plan, &git)?;
    // Named first in one index, then written to another: git would touch the time of objects that there are.
    let options = ["--add", "--remove", "--replace", "--info-only", "-z", "--stdin"];
    let name = || std::iter::once("update-index").chain(options);
    let what = "read changed files";
    plan.stage.copy_index(&plan.stage.at("index"), "named")?;
    let named = plan.stage.git(&plan.source, "named");
    // What is behind a link, or no file, is there no more, which git says of it only when asked so.
    let remove = ["update-index", "--force-remove", "-z", "--stdin"];
    if !behind.is_empty() {
        for git in [&named, &git] {
            git.feed(what, remove, &behind)?;
        }
    }
    named.feed(what, name(), &paths)?;
    let entries = listing::index(&named)?;
    let new = new_paths(&named, &entries)?;
    let known: Vec<&[u8]> = {
        let new: BTreeSet<&[u8]> = records(&new).collect();
        records(&paths).filter(|path| !new.contains(path)).collect()
    };
    git.feed(what, name(), &known.join(&0))?;
    let write = ["update-index", "--add", "--replace", "-z", "--stdin"];
    git.feed(what, write, &new)?;
    for entry in &entries {
        if entry.stage == 0 && !entry.is_assumed() && !entry.is_skipped() {
            plan.name_content(&entry.path, &entry.object);
        }
    }
    let what = "write the tree of the workspace";
    let alone = plan.stage.alone(&plan.source, "placed");
    let tree = alone.line(what, ["write-tree", "--missing-ok"])?;
    commit(plan, tree.ok_or(banger_git::Error::Answer { what })?)
}

/// The paths whose object is nowhere.
fn new_paths(git: &Git, entries: &[Listed]) -> Result<Vec<u8>, Error> {
    let entries = entries.iter().filter(|entry| !entry.is_module());
    let entries: Vec<&Listed> = entries.filter(|entry| !entry.is_skipped()).collect();
    let present = listing::present(git, entries.iter().map(|entry| &entry.object))?;
    let mut paths = Vec::new();
    for (entry, _) in entries.iter().zip(present).filter(|(_, there)| !there) {
        paths.extend_from_slice(&entry.path);
        paths.push(0);
    }
    Ok(paths)
}

/// Files that changed, are new, or are there no more; and conflicts, which become what the work tree has. Apart from them,
/// those that are behind a symbolic link by now, or have a pipe, socket or device in their place.
fn changed_paths(plan: &Plan, git: &Git) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut paths = listing::modified(git)?;
    paths.extend(plan.beside_index().cloned());
    let (mut lines, mut behind) = (Vec::new(), Vec::new());
    for path in paths {
        let is_gone = match plan.look(&path) {
            Ok(found) => !matches!(found.kind(), Kind::File | Kind::Symlink | Kind::Directory),
            Err(error) => error.is_link(),
        };
        let lines = if is_gone { &mut behind } else { &mut lines };
        lines.extend_from_slice(&path);
        lines.push(0);
    }
    Ok((lines, behind))
}

fn of_commit(plan: &Plan) -> Result<Snapshot, Error> {
    match &plan.head {
        Some(head) => Ok(Snapshot {
            commit: head.clone(),
            tree: tree_of(&plan.source.git(), head)?,
        }),
        None => {
            let what = "write an empty tree";
            let alone = plan.stage.alone(&plan.source, "none");
            let tree = alone.line(what, ["write-tree"])?;
            commit(plan, tree.ok_or(banger_git::Error::Answer { what })?)
        }
    }
}

pub(crate) fn tree_of(git: &Git, commit: &str) -> Result<String, Error> {
    let what = "find the tree";
    let tree = git.line(what, ["rev-parse", "--verify", &format!("{commit}^{{tree}}")])?;
    Ok(tree.ok_or(banger_git::Error::Answer { what })?)
}

fn commit(plan: &Plan, tree: String) -> Result<Snapshot, Error> {
    let mut parents = Vec::new();
    if let Some(head) = &plan.head {
        if tree_of(&plan.source.git(), head)? == tree {
            return Ok(Snapshot {
                commit: head.clone(),
                tree,
            });
        }
        parents.push(&head[..]);
    }
    let commit = commit_of(plan, &tree, &parents)?;
    Ok(Snapshot { commit, tree })
}

/// A commit of a tree, in the plan's stage.
pub(crate) fn commit_of(plan: &Plan, tree: &str, parents: &[&str]) -> Result<String, Error> {
    let mut text = format!("tree {tree}\n");
    for parent in parents {
        text.push_str(&format!("parent {parent}\n"));
    }
    for role in ["author", "committer"] {
        text.push_str(&format!("{role} banger <banger@localhost> 0 +0000\n"));
    }
    text.push_str("\nWhat was placed in the VM\n");
    // As plain bytes: `git commit-tree` would want to see the parent where it writes.
    let args = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let alone = plan.stage.alone(&plan.source, "placed");
    let commit = alone.feed("create a commit of the workspace", args, text.as_bytes())?;
    Ok(String::from_utf8_lossy(&commit).trim().to_owned())
}
