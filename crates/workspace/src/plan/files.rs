//! Which files of a repository a plan has: tracked and others, ignored ones left out, submodules apart.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use banger_api::{WorkspaceMode, WorkspaceRequest};
use banger_git::{Git, Repository, is_git_name, records};
use banger_hostfs::Kind;

use super::{File, Plan};
use crate::error::Error;
use crate::ignore;
use crate::listing::{self, Listed};
use crate::room;

impl Plan {
    /// The index and the work tree as they are: the entries of the first, and files that are beside it.
    pub(super) fn add_as_is(&mut self, request: &WorkspaceRequest) -> Result<(), Error> {
        let git = self.stage.git(&self.source, "index");
        let entries = self.leave_unsound_behind(&git, listing::index(&git)?)?;
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

    /// Takes entries out of the index that git itself makes in none: they lead out of the work tree, or into a git directory.
    /// Git does not remove them either, so the others become an index of their own.
    fn leave_unsound_behind(&mut self, git: &Git, entries: Vec<Listed>) -> Result<Vec<Listed>, Error> {
        let (sound, unsound): (Vec<Listed>, Vec<Listed>) =
            entries.into_iter().partition(|entry| is_sound(&entry.path));
        if unsound.is_empty() {
            return Ok(sound);
        }
        for entry in unsound {
            let reason = "is not a valid path for git".to_owned();
            self.omitted.insert(entry.path, reason);
        }
        let index = self.stage.at("index");
        std::fs::remove_file(&index).map_err(|error| Error::file("remove", &index, error))?;
        let what = "write the index without invalid paths";
        let (mut lines, mut skipped) = (Vec::new(), Vec::new());
        for entry in &sound {
            let facts = format!("{} {} {}\t", entry.mode, entry.object, entry.stage);
            lines.extend([facts.as_bytes(), &entry.path, b"\0"].concat());
            if entry.is_skipped() {
                skipped.extend([&entry.path[..], b"\0"].concat());
            }
        }
        git.feed(what, ["update-index", "-z", "--index-info"], &lines)?;
        git.feed(
            what,
            ["update-index", "-z", "--skip-worktree", "--stdin"],
            &skipped,
        )?;
        git.attempt(what, ["update-index", "-q", "--refresh"])?;
        Ok(sound)
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
    pub(super) fn list_commit(&mut self) -> Result<(), Error> {
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
        let staged: BTreeSet<&[u8]> = records(&absent).collect();
        let coming = entries.iter().filter(|entry| staged.contains(&entry.path[..]));
        let sizes = room::sizes(&git, coming.clone().map(|entry| &entry.object))?;
        let bytes = coming.filter_map(|entry| sizes.get(&entry.object).copied());
        room::check(bytes, &[self.stage.tree()])?;
        let tree = self.stage.at("tree");
        let mut prefix = std::ffi::OsString::from("--prefix=");
        prefix.push(&tree);
        prefix.push("/");
        let args = ["checkout-index", "-z", "--stdin"].map(std::ffi::OsString::from);
        git.feed("check out the commit", args.into_iter().chain([prefix]), &absent)?;
        for entry in &entries {
            let path = &entry.path;
            if entry.is_module() {
                self.add_module(path.clone(), Some(entry.object.clone()))?;
                continue;
            }
            let is_staged = staged.contains(&path[..]);
            self.add(is_staged, path, "tracked", Some(entry.object.clone()))?;
        }
        std::fs::rename(self.stage.at("target"), self.stage.at("index"))
            .map_err(|error| Error::file("write", &self.stage.at("index"), error))
    }
}

/// Whether git would take a path into an index.
fn is_sound(path: &[u8]) -> bool {
    let is_sound = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !is_git_name(part);
    path.split(|&byte| byte == b'/').all(is_sound)
}

fn list_others(git: &Git, which: &[&OsStr]) -> Result<Vec<u8>, Error> {
    let args = ["ls-files", "-z"].map(OsStr::new);
    let args = args.iter().chain(which);
    Ok(git.run("list untracked files", args)?)
}

/// Whether a file of the work tree is what the index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tracked {
    Clean,
    Modified,
    Untrusted,
}

pub(super) fn tag(content: &str, mode: u32, bytes: u64) -> String {
    format!("{content} {mode:o} {bytes}")
}
