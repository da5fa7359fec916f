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
use banger_model::suspicion;

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
        let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
        Some(format!("{error}{hint}"))
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
mod tests {
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let ran = Command::new("git")
            .arg("-C")
            .arg(dir)
            .args(args)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
    }

    /// A repository, and a directory in it.
    fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().canonicalize().unwrap();
        git(&repository, &["init", "-q"]);
        for (path, text) in files {
            let path = repository.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (dir, repository)
    }

    fn ignored(root: &Path, extent: Extent) -> Ignored {
        Ignored::new(root, Arc::new(Dir::open(root).unwrap()), extent)
    }

    #[test]
    fn patterns_of_all_places_count() {
        let (_dir, repository) = repository(&[
            (".git/info/exclude", "excluded\n"),
            (".gitignore", "*.log\n/in/top\n"),
            ("in/.gitignore", "target/\n!kept.log\n"),
            ("in/deep/.gitignore", "!deep.log\n"),
            (".bangerignore", "data\n"),
        ]);
        let mut named = ignored(&repository.join("in"), Extent::Usual);
        let mut is = |path: &str, is_dir| named.is(Path::new(path), is_dir);
        for path in [
            "a.log",
            "deep/a.log",
            "target/x",
            "data",
            "data/x",
            "excluded",
            "top",
            ".git",
            ".git/x",
            "deep/.git/y",
        ] {
            assert!(is(path, false), "{path}");
        }
        for path in [
            "a",
            "kept.log",
            "deep/kept.log",
            "deep/deep.log",
            "target",
            "deep/top",
            ".gitignore",
        ] {
            assert!(!is(path, false), "{path}");
        }
        assert!(is("target", true));
        let mut all = ignored(&repository.join("in"), Extent::All);
        assert!(!all.is(Path::new("a.log"), false) && all.is(Path::new("deep/.git/x"), false));
    }

    #[test]
    fn what_is_tracked_goes_unless_we_name_it() {
        let (_dir, repository) = repository(&[
            (".gitignore", "made/\n*.log\n"),
            (".bangerignore", "private\n"),
            ("made/kept/file", ""),
            ("made/kept/other", ""),
            ("made/more/file", ""),
            ("kept.log", ""),
            ("private", ""),
        ]);
        git(
            &repository,
            &["add", "-f", "made/kept/file", "kept.log", "private"],
        );
        let mut named = ignored(&repository, Extent::Usual);
        let mut is = |path: &str, is_dir| {
            let path = Path::new(path);
            let is = named.is(path, is_dir);
            // One that walks meets no path in a directory that is ignored.
            assert!(is || !named.itself(path, is_dir), "{}", path.display());
            is
        };
        assert!(!is("made", true) && !is("made/kept", true) && !is("made/kept/file", false));
        assert!(!is("kept.log", false));
        assert!(is("made/kept/other", false) && is("made/more", true) && is("made/x", false));
        assert!(is("other.log", false));
        assert!(is("private", false));
    }

    #[test]
    fn what_looks_like_a_secret_stays_unless_it_is_tracked() {
        let (_dir, repository) = repository(&[(".env", ""), ("in/.env", ""), ("in/key.pem", ""), ("a", "")]);
        git(&repository, &["add", "in/.env", "a"]);
        let suspicion = |extent, path: &str| ignored(&repository, extent).suspicion(Path::new(path));
        for path in [".env", "in/key.pem"] {
            assert!(suspicion(Extent::Usual, path).is_some(), "{path}");
            assert!(suspicion(Extent::WithSecrets, path).is_none(), "{path}");
            assert!(suspicion(Extent::All, path).is_none(), "{path}");
        }
        assert!(suspicion(Extent::Usual, "in/.env").is_none());
        // Below the top, paths begin there.
        let within = ignored(&repository.join("in"), Extent::Usual);
        assert!(within.suspicion(Path::new(".env")).is_none());
    }

    #[test]
    fn no_pattern_of_gits_brings_back_what_we_name() {
        let (_dir, repository) = repository(&[
            (".bangerignore", "data\n"),
            (".gitignore", "*.o\n"),
            ("in/.gitignore", "!data\n"),
            ("in/.bangerignore", "!x.o\n"),
        ]);
        let mut named = ignored(&repository, Extent::Usual);
        assert!(named.is(Path::new("in/data"), false));
        assert!(named.is(Path::new("in/x.o"), false));
    }

    #[test]
    fn that_git_is_not_asked_is_no_secret() {
        let (_dir, repository) = repository(&[(".gitignore", "*.log\n"), ("a.log", "")]);
        git(&repository, &["add", "-f", "a.log"]);
        assert_eq!(ignored(&repository, Extent::Usual).unasked(), None);
        std::fs::rename(repository.join(".git/index"), repository.join("index")).unwrap();
        std::os::unix::fs::symlink("../index", repository.join(".git/index")).unwrap();
        let why = ignored(&repository, Extent::Usual).unasked().unwrap();
        assert!(why.contains(".git/index is a symbolic link"), "{why}");
        // Nobody wants git to be asked.
        assert_eq!(ignored(&repository, Extent::All).unasked(), None);
        std::fs::remove_dir_all(repository.join(".git")).unwrap();
        std::fs::create_dir(repository.join(".git")).unwrap();
        assert_eq!(ignored(&repository, Extent::Usual).unasked(), None);
    }

    #[test]
    fn patterns_in_a_pipe_are_none_and_nobody_waits_for_them() {
        let (_dir, repository) = repository(&[
            (".gitignore", "*.log\n"),
            ("in/kept.log", ""),
            ("in/other.log", ""),
            ("in/x", ""),
        ]);
        git(&repository, &["add", "-f", "in/kept.log", "in/x"]);
        for name in [".gitignore", ".bangerignore", ".gitattributes", ".gitmodules"] {
            let pipe = repository.join("in").join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
            let since = std::time::Instant::now();
            let mut named = ignored(&repository, Extent::Usual);
            assert!(named.is(Path::new("in/other.log"), false));
            assert!(!named.is(Path::new("in/kept.log"), false) && !named.is(Path::new("in/x"), false));
            assert!(since.elapsed().as_secs() < 20, "{name}");
            std::fs::remove_file(pipe).unwrap();
            banger_cases::refused("git", &format!("sync.pipe{}", name));
        }
    }

    #[test]
    fn a_linked_work_tree_has_its_repositorys_own_patterns() {
        let (dir, repository) = repository(&[(".git/info/exclude", "excluded\n")]);
        let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
        git(
            &repository,
            &[&author[..], &["commit", "-q", "--allow-empty", "-m", "a"]].concat(),
        );
        let linked = dir.path().canonicalize().unwrap().join("linked");
        git(&repository, &["worktree", "add", "-q", linked.to_str().unwrap()]);
        assert!(ignored(&linked, Extent::Usual).is(Path::new("excluded"), false));
    }
}
