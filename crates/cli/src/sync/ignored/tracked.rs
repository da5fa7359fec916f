//! What git knows of a repository that its patterns do not tell.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use banger_hostfs::Named;
use banger_model::suspicion;

use super::patterns::MOST;

/// The files below `root` that are in the index although a pattern of git's names them, and the directories that they are in.
/// None where there is no git.
pub(super) fn despite_patterns(root: &Path) -> HashSet<PathBuf> {
    let listed = git(
        root,
        &["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"],
    );
    let mut all = HashSet::new();
    for path in paths(&listed.unwrap_or_default()) {
        let dirs = path.ancestors().filter(|dir| !dir.as_os_str().is_empty());
        all.extend(dirs.map(Path::to_owned));
    }
    all
}

/// The files below `root` that are in the index, or in that of a submodule, and look like secrets.
pub(super) fn like_secrets(root: &Path) -> HashSet<PathBuf> {
    let listed = git(root, &["ls-files", "-z", "--cached", "--recurse-submodules"]);
    let listed = listed.unwrap_or_default();
    let like_secrets = paths(&listed).filter(|path| suspicion(path.as_os_str().as_bytes()).is_some());
    like_secrets.map(Path::to_owned).collect()
}

fn paths(listed: &[u8]) -> impl Iterator<Item = &Path> {
    let paths = listed.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    paths.map(|path| Path::new(OsStr::from_bytes(path)))
}

/// Where a repository has the patterns that are nobody else's; a linked work tree has them elsewhere.
pub(super) fn exclude(repository: &Path) -> Option<PathBuf> {
    let told = git(repository, &["rev-parse", "--git-path", "info/exclude"]);
    Some(match told.as_ref().and_then(|told| told.strip_suffix(b"\n")) {
        Some(path) => repository.join(OsStr::from_bytes(path)),
        None => repository.join(".git/info/exclude"),
    })
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

/// What is in a file of patterns outside the tree, if it is a file. It may be behind links of its user's.
pub(super) fn patterns(file: &Path) -> Option<Vec<u8>> {
    let file = Named::look(file).ok()?.open().ok()?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What git prints in `dir` when it succeeds. It writes nothing there and runs no program of the repository's.
fn git(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(["-c", "core.fsmonitor=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_OPTIONAL_LOCKS", "0")
        // Where a hook of git's runs us, its variables would point to another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_PREFIX")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = output.ok()?;
    output.status.success().then_some(output.stdout)
}
