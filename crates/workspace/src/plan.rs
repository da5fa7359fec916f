//! Which files of a work tree go into a guest, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_api::{WorkspaceEntry, WorkspaceMode, WorkspaceOmission, WorkspacePlan, WorkspaceRequest};

use banger_git::{Git, Repository, records};
use banger_hostfs::{Dir, Found, Kind};

use crate::error::Error;
use crate::ignore;
use crate::listing::{self, Listed};
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

/// Whether a file of the work tree is what the index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tracked {
    Clean,
    Modified,
    Untrusted,
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

    /// The index and the work tree as they are: the entries of the first, and files that are beside it.
    fn add_as_is(&mut self, request: &WorkspaceRequest) -> Result<(), Error> {
        let git = self.stage.git(&self.source, "index");
        let entries = listing::index(&git)?;
        let mut others = Vec::new();
        if !request.no_untracked {
            let what = ["--others", "--exclude-standard"].map(OsStr::new);
            others.push(("untracked", list_others(&git, &what)?));
        }
        if request.mode == WorkspaceMode::FullCopy {
            let what = ["--others", "--ignored", "--exclude-standard"].map(OsStr::new);
            others.push(("ignored", list_others(&git, &what)?));
        }
        let listed = others.iter().flat_map(|(_, listed)| records(listed));
        let tracked = entries.iter().map(|entry| &entry.path[..]);
        let dirs = ignore::directories(tracked.chain(listed));
        let mut named = BTreeSet::new();
        if let Some(patterns) = ignore::patterns(&self.tree, &dirs) {
            let from = self.exclude_from(&patterns)?;
            self.leave_ignored_behind(&git, &from)?;
            if !others.is_empty() {
                let args = [OsStr::new("--others"), OsStr::new("--ignored"), &from];
                named = listing::paths(&list_others(&git, &args)?);
            }
        }
        self.add_tracked(&git, entries)?;
        for (why, listed) in &others {
            self.add_others(request, why, listed, &named)?;
        }
        Ok(())
    }

    /// What `.bangerignore` names of tracked files is absent in the guest without being deleted there.
    fn leave_ignored_behind(&mut self, git: &Git, from: &OsStr) -> Result<(), Error> {
        let args = ["ls-files", "-z", "--cached", "--ignored"].map(OsStr::new);
        let args = args.into_iter().chain([from]);
        let listed = git.run("list the files that .bangerignore names", args)?;
        let args = ["update-index", "-z", "--skip-worktree", "--stdin"];
        git.feed("exclude the files that .bangerignore names", args, &listed)?;
        for path in records(&listed) {
            self.omitted
                .insert(path.to_vec(), format!("is named by {}", ignore::NAME));
        }
        Ok(())
    }

    /// An option of git's that has it heed these patterns.
    fn exclude_from(&self, patterns: &[u8]) -> Result<OsString, Error> {
        let path = self.stage.at("ignored");
        std::fs::write(&path, patterns).map_err(|error| Error::file("write", &path, error))?;
        let mut option = OsString::from("--exclude-from=");
        option.push(&path);
        Ok(option)
    }

    fn add_tracked(&mut self, git: &Git, entries: Vec<Listed>) -> Result<(), Error> {
        let staged = match &self.head {
            Some(_) => listing::staged(git)?,
            None => BTreeSet::new(),
        };
        let modified = listing::modified(git)?;
        for entry in entries {
            let Listed { path, .. } = &entry;
            if entry.is_module() {
                self.add_module(path.clone(), None)?;
                continue;
            }
            // Left out by .bangerignore; or by a sparse checkout, and then most often absent.
            if self.omitted.contains_key(path) {
                continue;
            }
            let (why, tracked) = if modified.contains(path) {
                ("modified", Tracked::Modified)
            } else if entry.is_assumed() || entry.is_skipped() {
                ("tracked", Tracked::Untrusted)
            } else if staged.contains(path) || self.head.is_none() {
                ("staged", Tracked::Clean)
            } else {
                ("tracked", Tracked::Clean)
            };
            let tag = (tracked == Tracked::Clean).then(|| entry.object.clone());
            self.add(false, path, why, tag)?;
        }
        Ok(())
    }

    fn add_others(
        &mut self,
        request: &WorkspaceRequest,
        why: &'static str,
        listed: &[u8],
        named: &BTreeSet<Vec<u8>>,
    ) -> Result<(), Error> {
        for path in records(listed) {
            let omission = if path.ends_with(b"/") {
                Some("is a repository of its own".to_owned())
            } else if named.contains(path) {
                Some(format!("is named by {}", ignore::NAME))
            } else {
                banger_model::suspicion(path).filter(|_| !request.include_secrets)
            };
            match omission {
                Some(reason) => drop(self.omitted.insert(path.to_vec(), reason)),
                None => self.add(false, path, why, None)?,
            }
        }
        Ok(())
    }

    /// A file that was deleted in the work tree does not go: the guest's git shows it as deleted, too.
    fn add(
        &mut self,
        is_staged: bool,
        path: &[u8],
        why: &'static str,
        object: Option<String>,
    ) -> Result<(), Error> {
        let dir = if is_staged { self.stage.tree() } else { &self.tree };
        let found = match dir.look(OsStr::from_bytes(path)) {
            Ok(found) => found,
            // What is behind a link is not there, for git neither.
            Err(error) if error.is_absent() || error.is_link() => return Ok(()),
            Err(error) => {
                self.omitted
                    .insert(path.to_vec(), format!("cannot be inspected: {error}"));
                return Ok(());
            }
        };
        match found.kind() {
            Kind::File | Kind::Symlink => {}
            // A directory in place of a tracked file is told by the files in it.
            Kind::Directory => return Ok(()),
            _ => {
                let reason = "is no file or symbolic link".to_owned();
                self.omitted.insert(path.to_vec(), reason);
                return Ok(());
            }
        }
        let metadata = found.metadata();
        let (bytes, changed) = (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()));
        let content = object.unwrap_or_else(|| format!("at {}.{}", changed.0, changed.1));
        let file = File {
            is_staged,
            why,
            bytes,
            mode: metadata.mode(),
            tag: tag(&content, metadata.mode(), bytes),
            changed,
        };
        self.files.insert(path.to_vec(), file);
        Ok(())
    }

    /// Names the content of a file by its object, as the index would have it.
    pub(crate) fn name_content(&mut self, path: &[u8], object: &str) {
        // One that changed since it was looked at is seen to have when it is sent.
        if let Some(file) = self.files.get_mut(path).filter(|file| file.why != "ignored") {
            file.tag = tag(object, file.mode, file.bytes);
        }
    }

    fn add_module(&mut self, path: Vec<u8>, commit: Option<String>) -> Result<(), Error> {
        let name = Path::new(OsStr::from_bytes(&path));
        let kind = |name: &Path| self.tree.kind(name).ok().flatten();
        let at = self.source.root.join(name);
        let is_dir = kind(name) == Some(Kind::Directory);
        let reason = match is_dir && kind(&name.join(".git")).is_some() {
            false => "is a submodule that is not checked out here".to_owned(),
            true => match Repository::around(&at) {
                Ok(module) if module.root == at => {
                    self.modules.insert(path, commit);
                    return Ok(());
                }
                Ok(_) => "has a `.git` that is not a repository".to_owned(),
                Err(error) => format!("cannot be used: {error}"),
            },
        };
        if is_dir || commit.is_some() {
            self.omitted.insert(path.clone(), reason);
            self.empty.insert(path);
        }
        Ok(())
    }

    /// Files of a commit: those that the work tree has so are taken from there, the others are checked out.
    fn list_commit(&mut self) -> Result<(), Error> {
        let Some(head) = self.head.clone() else {
            return Ok(());
        };
        let here = self.stage.git(&self.source, "index");
        let modified = listing::modified(&here)?;
        let at_hand: BTreeSet<(Vec<u8>, String, String)> = listing::index(&here)?
            .into_iter()
            .filter(|entry| entry.is_plain() && !modified.contains(&entry.path))
            .map(|entry| (entry.path, entry.mode, entry.object))
            .collect();
        let git = self.stage.git(&self.source, "target");
        let read = ["read-tree", "--no-sparse-checkout", &head];
        git.run("read the commit", read)?;
        git.attempt("compare the work tree", ["update-index", "-q", "--refresh"])?;
        let entries = listing::index(&git)?;
        let mut absent = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_module()) {
            let known = (entry.path.clone(), entry.mode.clone(), entry.object.clone());
            if !at_hand.contains(&known) {
                absent.extend_from_slice(&entry.path);
                absent.push(0);
            }
        }
        let tree = self.stage.at("tree");
        let mut prefix = std::ffi::OsString::from("--prefix=");
        prefix.push(&tree);
        prefix.push("/");
        let args = ["checkout-index", "-z", "--stdin"].map(std::ffi::OsString::from);
        git.feed("check out the commit", args.into_iter().chain([prefix]), &absent)?;
        let absent: BTreeSet<&[u8]> = records(&absent).collect();
        for entry in &entries {
            let path = &entry.path;
            if entry.is_module() {
                self.add_module(path.clone(), Some(entry.object.clone()))?;
                continue;
            }
            let is_staged = absent.contains(&path[..]);
            self.add(is_staged, path, "tracked", Some(entry.object.clone()))?;
        }
        std::fs::rename(self.stage.at("target"), self.stage.at("index"))
            .map_err(|error| Error::file("write", &self.stage.at("index"), error))
    }
}

fn list_others(git: &Git, which: &[&OsStr]) -> Result<Vec<u8>, Error> {
    let args = ["ls-files", "-z"].map(OsStr::new);
    let args = args.iter().chain(which);
    Ok(git.run("list untracked files", args)?)
}

fn open(path: &Path) -> Result<Dir, Error> {
    Dir::open(path).map_err(|error| Error::Repository(banger_git::Error::from(error)))
}

fn tag(content: &str, mode: u32, bytes: u64) -> String {
    format!("{content} {mode:o} {bytes}")
}
