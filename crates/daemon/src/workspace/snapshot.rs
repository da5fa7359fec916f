//! What was placed as a commit: HEAD with the changes that go along. The guest gets it as `refs/banger/base`, so that what
//! the guest changes can be told from what was changed before.

use super::git::Git;
use super::listing;
use super::{Error, Plan};

/// Its reference in the guest.
pub(crate) const BASE: &str = "refs/banger/base";

/// Who makes commits that no person made.
pub(crate) const IDENTITY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "banger"),
    ("GIT_AUTHOR_EMAIL", "banger@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "banger"),
    ("GIT_COMMITTER_EMAIL", "banger@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

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
        .with("GIT_CONFIG_COUNT", "1")
        .with("GIT_CONFIG_KEY_0", "core.compression")
        .with("GIT_CONFIG_VALUE_0", "1");
    let paths = changed_paths(plan, &git)?;
    let args = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"];
    git.feed("read changed files", args, &paths)?;
    for entry in listing::index(&git)? {
        if entry.stage == 0 && !entry.is_assumed() {
            plan.name_content(&entry.path, &entry.object);
        }
    }
    let what = "write the tree of what is placed";
    let tree = git.line(what, ["write-tree"])?.ok_or(Error::Answer { what })?;
    commit(plan, &git, tree)
}

/// Files that changed, are new, or are there no more; and conflicts, which become what the work tree has.
fn changed_paths(plan: &Plan, git: &Git) -> Result<Vec<u8>, Error> {
    let mut paths = listing::modified(git)?;
    paths.extend(plan.beside_index().cloned());
    let mut lines = Vec::new();
    for path in paths {
        lines.extend_from_slice(&path);
        lines.push(0);
    }
    Ok(lines)
}

fn of_commit(plan: &Plan) -> Result<Snapshot, Error> {
    let git = plan.source.git();
    match &plan.head {
        Some(head) => Ok(Snapshot {
            commit: head.clone(),
            tree: tree_of(&git, head)?,
        }),
        None => commit(plan, &plan.stage.git(&plan.source, "none"), empty_tree(plan)?),
    }
}

fn empty_tree(plan: &Plan) -> Result<String, Error> {
    let what = "write an empty tree";
    let git = plan.stage.git(&plan.source, "none");
    git.line(what, ["write-tree"])?.ok_or(Error::Answer { what })
}

fn tree_of(git: &Git, commit: &str) -> Result<String, Error> {
    let what = "find the tree";
    let tree = git.line(what, ["rev-parse", "--verify", &format!("{commit}^{{tree}}")])?;
    tree.ok_or(Error::Answer { what })
}

fn commit(plan: &Plan, git: &Git, tree: String) -> Result<Snapshot, Error> {
    let mut args = vec!["commit-tree", &tree, "-m", "What was placed in the VM"];
    if let Some(head) = &plan.head {
        if tree_of(git, head)? == tree {
            return Ok(Snapshot {
                commit: head.clone(),
                tree,
            });
        }
        args.extend(["-p", head]);
    }
    let what = "make a commit of what is placed";
    let git = IDENTITY
        .iter()
        .fold(git.clone(), |git, (name, value)| git.with(name, *value));
    let commit = git.line(what, args)?.ok_or(Error::Answer { what })?;
    Ok(Snapshot { commit, tree })
}
