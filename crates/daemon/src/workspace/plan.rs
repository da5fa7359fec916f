//! Which files of a work tree go into a guest, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_api::{WorkspaceEntry, WorkspaceOmission, WorkspacePlan, WorkspaceRequest};

use super::git::{Git, records};
use super::{Error, secrets};

/// The mode of a submodule in a git tree (gitformat-index(5), a gitlink).
const GITLINK: &str = "160000";

/// A work tree and what of it goes.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The top of the work tree.
    pub(crate) root: PathBuf,
    /// The branch that is checked out; none when HEAD is detached.
    pub(crate) branch: Option<String>,
    /// The commit that the guest's HEAD gets; none in an empty repository.
    pub(crate) head: Option<String>,
    /// Whether the work tree and the index go as they are, or the commit alone (`--from`).
    pub(crate) as_is: bool,
    /// The files of the work tree that go, by path under `root`.
    pub(crate) files: BTreeMap<Vec<u8>, File>,
    omitted: BTreeMap<Vec<u8>, String>,
}

/// One file that goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    why: &'static str,
    bytes: u64,
}

impl Plan {
    /// Looks at the repository around the request's path.
    pub(crate) fn make(request: &WorkspaceRequest) -> Result<Self, Error> {
        let root = top_of(&request.path)?;
        let git = Git::in_dir(&root);
        let head = match &request.from {
            Some(from) => Some(commit(git, from)?.ok_or_else(|| Error::NoCommit(from.clone()))?),
            None => commit(git, "HEAD")?,
        };
        let branch = git.line("name the branch", ["symbolic-ref", "--quiet", "--short", "HEAD"])?;
        let mut plan = Self {
            root: root.clone(),
            branch,
            head,
            as_is: request.from.is_none(),
            files: BTreeMap::new(),
            omitted: BTreeMap::new(),
        };
        if plan.as_is {
            plan.add_tracked(git)?;
            if !request.no_untracked {
                plan.add_untracked(git)?;
            }
        } else {
            plan.list_commit(git)?;
        }
        Ok(plan)
    }

    /// What clients see of it.
    pub(crate) fn view(&self) -> WorkspacePlan {
        let files = self.files.iter().map(|(path, file)| WorkspaceEntry {
            path: String::from_utf8_lossy(path).into_owned(),
            bytes: file.bytes,
            why: file.why.to_owned(),
        });
        WorkspacePlan {
            root: Some(self.root.clone()),
            branch: self.branch.clone(),
            head: self.head.clone(),
            files: files.collect(),
            omitted: self.omissions(),
            bytes: self.files.values().map(|file| file.bytes).sum(),
        }
    }

    /// The files that stay behind.
    pub(crate) fn omissions(&self) -> Vec<WorkspaceOmission> {
        let omissions = self.omitted.iter().map(|(path, why)| WorkspaceOmission {
            path: String::from_utf8_lossy(path).into_owned(),
            why: why.clone(),
        });
        omissions.collect()
    }

    fn add_tracked(&mut self, git: Git<'_>) -> Result<(), Error> {
        let staged = match &self.head {
            Some(_) => paths(git.run(
                "compare the index",
                ["diff-index", "--cached", "--name-only", "-z", "HEAD"],
            )?),
            None => BTreeSet::new(),
        };
        let modified = paths(git.run("compare the work tree", ["diff-files", "--name-only", "-z"])?);
        let listed = git.run("list the index", ["ls-files", "--stage", "-z"])?;
        for record in records(&listed) {
            let what = "list the index";
            // <mode> <object> <stage>\t<path>
            let tab = record
                .iter()
                .position(|&byte| byte == b'\t')
                .ok_or(Error::Answer { what })?;
            let (mode, path) = (&record[..record.len().min(6)], &record[tab + 1..]);
            if mode == GITLINK.as_bytes() {
                self.omitted.insert(path.to_vec(), "is a submodule".to_owned());
                continue;
            }
            let why = if modified.contains(path) {
                "modified"
            } else if staged.contains(path) || self.head.is_none() {
                "staged"
            } else {
                "tracked"
            };
            self.add(path, why);
        }
        Ok(())
    }

    fn add_untracked(&mut self, git: Git<'_>) -> Result<(), Error> {
        let listed = git.run(
            "list untracked files",
            ["ls-files", "--others", "--exclude-standard", "-z"],
        )?;
        for path in records(&listed) {
            if path.ends_with(b"/") {
                self.omitted
                    .insert(path.to_vec(), "is a repository of its own".to_owned());
            } else if let Some(why) = secrets::suspicion(path) {
                self.omitted.insert(path.to_vec(), why);
            } else {
                self.add(path, "untracked");
            }
        }
        Ok(())
    }

    /// A file that was deleted in the work tree does not go: the guest's git shows it as deleted, too.
    fn add(&mut self, path: &[u8], why: &'static str) {
        let Ok(metadata) = std::fs::symlink_metadata(self.root.join(OsStr::from_bytes(path))) else {
            return;
        };
        if metadata.is_file() || metadata.is_symlink() {
            let bytes = metadata.len();
            self.files.insert(path.to_vec(), File { why, bytes });
        } else {
            self.omitted
                .insert(path.to_vec(), "is no file or symbolic link".to_owned());
        }
    }

    fn list_commit(&mut self, git: Git<'_>) -> Result<(), Error> {
        let what = "list the commit's files";
        let head = self.head.clone().unwrap_or_default();
        let listed = git.run(what, ["ls-tree", "-r", "-z", "--long", "--full-tree", &head])?;
        for record in records(&listed) {
            // <mode> <type> <object> <size, right-aligned>\t<path>
            let tab = record
                .iter()
                .position(|&byte| byte == b'\t')
                .ok_or(Error::Answer { what })?;
            let (facts, path) = (String::from_utf8_lossy(&record[..tab]), &record[tab + 1..]);
            if facts.starts_with(GITLINK) {
                self.omitted.insert(path.to_vec(), "is a submodule".to_owned());
                continue;
            }
            let bytes = facts.rsplit(' ').next().and_then(|size| size.parse().ok());
            let file = File {
                why: "tracked",
                bytes: bytes.ok_or(Error::Answer { what })?,
            };
            self.files.insert(path.to_vec(), file);
        }
        Ok(())
    }
}

/// The top of the work tree around `path`.
pub(crate) fn top_of(path: &Path) -> Result<PathBuf, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Enter {
        path: path.to_owned(),
        source,
    })?;
    let dir = if metadata.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    match Git::in_dir(dir).line("find the repository", ["rev-parse", "--show-toplevel"]) {
        Ok(Some(top)) if !top.is_empty() => Ok(PathBuf::from(top)),
        Ok(_) => Err(Error::NoRepository(path.to_owned())),
        Err(Error::Git { words, .. }) if words.contains("not a git repository") => {
            Err(Error::NoRepository(path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

fn commit(git: Git<'_>, name: &str) -> Result<Option<String>, Error> {
    let revision = format!("{name}^{{commit}}");
    git.line(
        "find the commit",
        ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision],
    )
}

fn paths(listed: Vec<u8>) -> BTreeSet<Vec<u8>> {
    records(&listed).map(<[u8]>::to_vec).collect()
}
