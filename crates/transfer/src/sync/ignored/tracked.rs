//! What git knows of a repository that its patterns do not tell. A repository may be anyone's: git sees it through
//! `banger_git`, and nothing of the repository's runs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_git::{Error, Repository, View, records};
use banger_hostfs::Named;
use banger_model::suspicion;

use super::patterns::MOST;

/// Submodules in submodules beyond this are not looked into.
const DEEP: usize = 16;

/// The files below `root` that are in the index. Which of them its patterns name is not asked of git: it would wait for a file of
/// patterns that is a pipe.
///
/// # Errors
/// When there is no git, or it is not to be run on this repository.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    match asked(root, &["ls-files", "-z", "--cached"]) {
        Ok(listed) => Ok(paths(&listed).map(Path::to_owned).collect()),
        // A directory that is called `.git` and is none of git's.
        Err(Error::NoRepository(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The files below `root` that are in the index, or in that of a submodule, and look like secrets.
pub(super) fn like_secrets(root: &Path) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    add_like_secrets(root, Path::new(""), DEEP, &mut found);
    found
}

fn add_like_secrets(dir: &Path, below: &Path, deep: usize, found: &mut HashSet<PathBuf>) {
    let stages = git(dir, &["ls-files", "-z", "--stage"]);
    for entry in records(&stages.unwrap_or_default()) {
        let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else {
            continue;
        };
        let path = Path::new(OsStr::from_bytes(&entry[tab + 1..]));
        let whole = below.join(path);
        // A submodule's own git would read its own configuration, so it is looked at as any other repository is.
        if entry.starts_with(b"160000 ") {
            let module = dir.join(path);
            let is_checked_out = Repository::around(&module).is_ok_and(|found| found.root == module);
            if deep > 0 && is_checked_out {
                add_like_secrets(&module, &whole, deep - 1, found);
            }
        } else if suspicion(whole.as_os_str().as_bytes()).is_some() {
            found.insert(whole);
        }
    }
}

fn paths(listed: &[u8]) -> impl Iterator<Item = &Path> {
    records(listed).map(|path| Path::new(OsStr::from_bytes(path)))
}

/// Where a repository has the patterns that are nobody else's; a linked work tree has them elsewhere.
pub(super) fn exclude(repository: &Path) -> Option<PathBuf> {
    let found = Repository::around(repository).ok()?;
    Some(found.common.at("info/exclude"))
}

/// Where a user has the patterns that count in all repositories.
pub(super) fn of_user(repository: &Path) -> Option<PathBuf> {
    let told = git(
        repository,
        &["config", "-z", "--type=path", "--get", "core.excludesFile"],
    );
    if let Some(path) = told.as_ref().and_then(|told| told.strip_suffix(b"\0")) {
        return Some(repository.join(OsStr::from_bytes(path)));
    }
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(config.join("git/ignore"))
}

/// Whether patterns match in either case there.
pub(super) fn ignores_case(repository: &Path) -> bool {
    let told = git(
        repository,
        &["config", "-z", "--type=bool", "--get", "core.ignoreCase"],
    );
    told.is_some_and(|told| told == b"true\0")
}

/// What is in a file of patterns outside the tree, if it is a file. It may be behind links of its user's.
pub(super) fn patterns(file: &Path) -> Option<Vec<u8>> {
    let file = Named::look(file).ok()?.open().ok()?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What git prints in `dir` when it succeeds.
fn git(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    asked(dir, args).ok()
}

/// What git prints in `dir`. It writes nothing there, reads no configuration of the repository's and runs no program of its.
fn asked(dir: &Path, args: &[&str]) -> Result<Vec<u8>, Error> {
    let view = View::of(Repository::around(dir)?, &std::env::temp_dir())?;
    view.git_in(dir).run("list the index", args)
}
