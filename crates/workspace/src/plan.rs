//! Which files of a work tree go into a guest, and why.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_api::{WorkspaceEntry, WorkspaceMode, WorkspaceOmission, WorkspacePlan, WorkspaceRequest};

use banger_hostfs::{Dir, Found};

use self::files::tag;
use crate::error::Error;
use crate::listing::{self};
use crate::source::Source;
use crate::source_error::SourceError;
use crate::stage::Stage;

/// What is to be placed in a workspace, by path under it.
pub(crate) type Modules = Vec<(Vec<u8>, WorkspaceRequest)>;

/// A work tree and what of it goes.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The repository.
    pub(crate) source: Source,
    /// Its work tree, held open: what is read of it is beneath, and no link is followed.
    tree: Dir,
    /// Where copies of its index are: `index` is the guest's.
    pub(crate) stage: Stage,
    /// The branch that the guest's HEAD names; none when it is detached.
    pub(crate) branch: Option<String>,
    /// The commit that the guest's HEAD gets; none in an empty repository.
    pub(crate) head: Option<String>,
    /// Whether index and changes go as they are, or a commit alone.
    pub(crate) as_is: bool,
    /// The files that go, by path under the root.
    pub(crate) files: BTreeMap<Vec<u8>, File>,
    /// Submodules that are checked out, and the commits that they are to be at when that is not as they are.
    pub(crate) modules: BTreeMap<Vec<u8>, Option<String>>,
    /// Directories of submodules that are not checked out.
    pub(crate) empty: BTreeSet<Vec<u8>>,
    omitted: BTreeMap<Vec<u8>, String>,
}

/// One file that goes.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Whether it was checked out for this, and is not the work tree's.
    is_staged: bool,
    why: &'static str,
    mode: u32,
    /// Its size.
    pub(crate) bytes: u64,
    /// A name for its content and mode.
    pub(crate) tag: String,
    /// When it was changed, to see whether it is what was planned.
    pub(crate) changed: (i64, i64),
}

impl File {
    /// Whether a file with these facts is the one that was planned.
    pub(crate) fn is_as_planned(&self, metadata: &std::fs::Metadata) -> bool {
        (self.bytes, self.changed) == (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()))
    }
}

impl Plan {
    /// Looks at the repository around the request's path, with copies in `scratch`.
    pub(crate) fn make(request: &WorkspaceRequest, scratch: &Path) -> Result<Self, Error> {
        let source = Source::around(&request.path, scratch)?;
        let clean = request.from.is_some() || request.mode == WorkspaceMode::Clean;
        let head = match &request.from {
            Some(from) => Some(
                source
                    .commit(from)?
                    .ok_or_else(|| SourceError::NoCommit(from.clone()))?,
            ),
            None => source.head.clone(),
        };
        let stage = Stage::make(scratch)?;
        let tree = open(&source.root)?;
        stage.copy_index(&source.own("index"), "index")?;
        let mut plan = Self {
            branch: match (&request.branch, &request.from) {
                (Some(branch), _) => Some(branch.clone()),
                // A commit that was named is no branch.
                (None, Some(_)) => None,
                (None, None) => source.branch.clone(),
            },
            head,
            as_is: !clean,
            files: BTreeMap::new(),
            modules: BTreeMap::new(),
            empty: BTreeSet::new(),
            omitted: BTreeMap::new(),
            source,
            tree,
            stage,
        };
        let git = plan.stage.git(&plan.source, "index");
        // It fails when there is something to be refreshed to; which, is asked for below.
        git.attempt("compare the work tree", ["update-index", "-q", "--refresh"])?;
        if clean {
            let listed = plan.list_commit();
            let wanted = plan.head.clone().unwrap_or_default();
            listed.map_err(|error| plan.source.of_partial(&wanted, error))?;
        } else {
            plan.add_as_is(request)?;
        }
        Ok(plan)
    }

    /// Whether the work tree has changes that `git merge` would refuse to touch.
    pub(crate) fn is_dirty(source: &Source, scratch: &Path) -> Result<bool, Error> {
        let stage = Stage::make(scratch)?;
        stage.copy_index(&source.own("index"), "index")?;
        let git = stage.git(source, "index");
        git.attempt("compare the work tree", ["update-index", "-q", "--refresh"])?;
        if source.head.is_none() || !listing::modified(&git)?.is_empty() || !listing::staged(&git)?.is_empty()
        {
            return Ok(true);
        }
        let others = ["ls-files", "-z", "--others", "--exclude-standard"];
        Ok(!git.run("list untracked files", others)?.is_empty())
    }

    /// What clients see of it.
    pub(crate) fn view(&self) -> WorkspacePlan {
        let files = self.files.iter().map(|(path, file)| WorkspaceEntry {
            path: String::from_utf8_lossy(path).into_owned(),
            bytes: file.bytes,
            why: file.why.to_owned(),
        });
        WorkspacePlan {
            root: Some(self.source.root.clone()),
            branch: self.branch.clone(),
            head: self.head.clone(),
            files: files.collect(),
            omitted: self.omissions(),
            bytes: self.bytes(),
        }
    }

    /// A file of the plan or a directory of the work tree, as it is now.
    pub(crate) fn look(&self, path: &[u8]) -> Result<Found, banger_hostfs::Error> {
        let name = Path::new(OsStr::from_bytes(path));
        match self.files.get(path) {
            Some(file) if file.is_staged => self.stage.tree().look(name),
            _ => self.tree.look(name),
        }
    }

    /// What is in a file of the plan, if that is no more than `most` bytes.
    pub(crate) fn read(&self, path: &[u8], most: u64) -> Option<Vec<u8>> {
        let file = self.look(path).ok()?.open().ok()?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut bytes).ok()?;
        Some(bytes)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// The files that stay behind.
    pub(crate) fn omissions(&self) -> Vec<WorkspaceOmission> {
        let omissions = self.omitted.iter().map(|(path, why)| WorkspaceOmission {
            path: String::from_utf8_lossy(path).into_owned(),
            why: why.clone(),
        });
        omissions.collect()
    }

    /// The requests for its submodules, by path.
    pub(crate) fn modules_of(&self, request: &WorkspaceRequest) -> Modules {
        let modules = self.modules.iter().filter_map(|(path, commit)| {
            let name = std::str::from_utf8(path).ok()?;
            let module = WorkspaceRequest {
                path: self.source.root.join(OsStr::from_bytes(path)),
                guest_path: format!("{}/{name}", request.guest_path.trim_end_matches('/')),
                mode: match commit {
                    Some(_) => WorkspaceMode::Clean,
                    None => request.mode,
                },
                branch: None,
                from: commit.clone(),
                readonly: false,
                ..request.clone()
            };
            Some((path.clone(), module))
        });
        modules.collect()
    }

    /// The paths whose content the index does not have.
    pub(crate) fn beside_index(&self) -> impl Iterator<Item = &Vec<u8>> {
        let beside = self.files.iter();
        beside
            .filter(|(_, file)| matches!(file.why, "modified" | "untracked"))
            .map(|(path, _)| path)
    }

    /// Names the content of a file by its object, as the index would have it.
    pub(crate) fn name_content(&mut self, path: &[u8], object: &str) {
        // One that changed since it was looked at is seen to have when it is sent.
        if let Some(file) = self.files.get_mut(path).filter(|file| file.why != "ignored") {
            file.tag = tag(object, file.mode, file.bytes);
        }
    }
}

fn open(path: &Path) -> Result<Dir, Error> {
    Dir::open(path).map_err(|error| Error::Repository(banger_git::Error::from(error)))
}
