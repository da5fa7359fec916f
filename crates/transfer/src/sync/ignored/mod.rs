//! What is not synchronised: what git ignores, which is nothing that it tracks, and what `.bangerignore` files name in git's
//! language, tracked or not, as `vm workspace prepare` has it; and what looks like a secret and is not tracked. Git's own
//! directories never go.

#[cfg(test)]
mod agreement;
mod pattern;
mod patterns;
mod tracked;
mod wildmatch;

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_hostfs::Dir;
use banger_model::{Describe, suspicion};

use self::pattern::File;
use self::patterns::Patterns;
use super::spec::Extent;

/// Names files that git tracks, too.
const OURS: &str = ".bangerignore";
const GITS: &str = ".gitignore";

/// What of a tree is ignored.
#[derive(Debug)]
pub(crate) struct Ignored {
    root: PathBuf,
    /// None if nothing but git's own directories is ignored.
    named: Option<Named>,
    /// What looks like a secret and is tracked, as it was when this was made. None if secrets go.
    published: Option<HashSet<PathBuf>>,
}

#[derive(Debug)]
struct Named {
    ours: Patterns,
    gits: Patterns,
    /// What git's patterns name in vain, as it was when this was made, and the directories on the way there.
    tracked: HashSet<PathBuf>,
    /// Why git was not asked what is tracked.
    unasked: Option<banger_git::Error>,
}

impl Ignored {
    /// Of the tree at `root`, an absolute path, which is `held`.
    pub(crate) fn new(root: &Path, held: Arc<Dir>, extent: Extent) -> Self {
        Self {
            root: root.to_owned(),
            named: (extent != Extent::All).then(|| Named::new(root, held)),
            published: (extent == Extent::Usual).then(|| tracked::like_secrets(root)),
        }
    }

    /// Why git was not asked what it tracks in the repository, so that its patterns name tracked files, too.
    pub(crate) fn unasked(&self) -> Option<String> {
        let error = self.named.as_ref()?.unasked.as_ref()?;
        match error.describe().hints.first() {
            Some(hint) => Some(format!("{error} ({hint})")),
            None => Some(error.to_string()),
        }
    }

    /// Why the file at `path`, below the root, stays although no pattern names it.
    pub(crate) fn suspicion(&self, path: &Path) -> Option<String> {
        let published = self.published.as_ref()?;
        suspicion(path.as_os_str().as_bytes()).filter(|_| !published.contains(path))
    }

    /// Whether a file has patterns, so that a change of it changes what is ignored.
    pub(crate) fn is_pattern_file(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == OURS || name == GITS)
    }

    /// Whether `path`, below the root, is ignored, or a directory that it is in.
    pub(crate) fn is(&mut self, path: &Path, is_dir: bool) -> bool {
        let dirs = path.ancestors().skip(1);
        let mut dirs = dirs.filter(|dir| !dir.as_os_str().is_empty());
        // In a directory of git's patterns, what is tracked goes and nothing else does.
        dirs.any(|dir| self.of_itself(dir, path, true)) || self.of_itself(path, path, is_dir)
    }

    /// The same of a `path` whose directories are known to go.
    pub(crate) fn itself(&mut self, path: &Path, is_dir: bool) -> bool {
        match &self.named {
            Some(named) if !named.tracked.is_empty() => self.is(path, is_dir),
            _ => self.of_itself(path, path, is_dir),
        }
    }

    /// Whether `path` is ignored by what names `part`, which is it or a directory that it is in.
    fn of_itself(&mut self, part: &Path, path: &Path, is_dir: bool) -> bool {
        if part.file_name().is_some_and(|name| name == ".git") {
            return true;
        }
        let root = &self.root;
        self.named.as_mut().is_some_and(|named| {
            named.ours.name(root, part, is_dir)
                || !named.tracked.contains(path) && named.gits.name(root, part, is_dir)
        })
    }
}

impl Named {
    fn new(root: &Path, held: Arc<Dir>) -> Self {
        let repository = root.ancestors().find(|dir| dir.join(".git").exists());
        let fold = repository.is_some_and(tracked::ignores_case);
        let mut gits = Patterns::new(GITS, root, Arc::clone(&held), repository).folding(fold);
        if let Some(repository) = repository {
            for file in [tracked::exclude(repository), tracked::of_user(repository)] {
                let text = file.and_then(|file| tracked::patterns(&file)).unwrap_or_default();
                gits.add(File::parse(repository, &text));
            }
        }
        let files = repository.map_or_else(|| Ok(Vec::new()), |_| tracked::files(root));
        let (files, unasked) = match files {
            Ok(files) => (files, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            tracked: despite_patterns(&mut gits, root, &files),
            ours: Patterns::new(OURS, root, held, repository).folding(fold),
            gits,
            unasked,
        }
    }
}

/// Those of the `files` in the index that patterns name in vain, and the directories that they are in.
fn despite_patterns(patterns: &mut Patterns, root: &Path, files: &[PathBuf]) -> HashSet<PathBuf> {
    let mut known: HashMap<&Path, bool> = HashMap::new();
    let mut found = HashSet::new();
    for file in files {
        let dirs: Vec<&Path> = file
            .ancestors()
            .skip(1)
            .filter(|dir| !dir.as_os_str().is_empty())
            .collect();
        let mut is_named = false;
        for &dir in dirs.iter().rev() {
            let named = *known.entry(dir).or_insert_with(|| patterns.name(root, dir, true));
            is_named |= named;
        }
        // A submodule is a directory, which patterns may name as such.
        if is_named || patterns.name(root, file, false) || patterns.name(root, file, true) {
            found.insert(file.clone());
            found.extend(dirs.into_iter().map(Path::to_owned));
        }
    }
    found
}

#[cfg(test)]
mod tests;
