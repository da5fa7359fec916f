//! What a repository looks like, as far as it must be the same on both sides; and whether it was touched.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// `git` in a directory, which must succeed; what it prints.
pub(super) fn git(dir: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = run(dir, args)?;
    ensure!(
        output.status.success(),
        "git {args:?} in {}: {}",
        dir.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// The same as text, without the last newline.
pub(super) fn line(dir: &Path, args: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&git(dir, args)?).trim_end().to_owned())
}

/// `git` in a directory, however it ends. It writes nothing, not even by the way.
pub(super) fn run(dir: &Path, args: &[&str]) -> Result<std::process::Output> {
    Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_AUTHOR_NAME", "guest")
        .env("GIT_AUTHOR_EMAIL", "guest@there")
        .env("GIT_COMMITTER_NAME", "guest")
        .env("GIT_COMMITTER_EMAIL", "guest@there")
        .output()
        .context("run git")
}

/// Commands by which both sides are compared.
const LOOKS: &[&[&str]] = &[
    &[
        "status",
        "--porcelain=v1",
        "-z",
        "--untracked-files=all",
        "--branch",
    ],
    &["diff", "--no-ext-diff", "--binary"],
    &["diff", "--no-ext-diff", "--binary", "--cached"],
    &["ls-files", "--stage", "-v", "-z"],
    &["rev-parse", "--verify", "-q", "HEAD^{tree}"],
    &["symbolic-ref", "-q", "HEAD"],
    &["submodule", "status"],
];

/// What git and find say of a work tree. `all` are the files that count; all of them without.
pub(super) fn look(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut looks = BTreeMap::new();
    for args in LOOKS {
        let output = run(dir, args)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        looks.insert(args.join(" "), text);
    }
    let found = Command::new("find")
        // A directory that holds nothing is nothing to git.
        .args([
            ".", "-name", ".git", "-prune", "-o", "-type", "d", "-empty", "-prune",
        ])
        .args(["-o", "-type", "d", "-printf"])
        .args(["%P %y %m\\0", "-o", "-printf", "%P %y %m %s %l %T@\\0"])
        .current_dir(dir)
        .output()?;
    let mut entries: Vec<String> = found
        .stdout
        .split(|&byte| byte == 0)
        .map(|entry| entry.escape_ascii().to_string())
        // The root is a temporary directory's on one side.
        .filter(|entry| !entry.starts_with(" d "))
        .collect();
    entries.sort();
    looks.insert("find".to_owned(), entries.join("\n"));
    Ok(looks)
}

/// Removes from a comparison what stays behind by rule.
pub(super) fn without(mut looks: BTreeMap<String, String>, names: &[&str]) -> BTreeMap<String, String> {
    for text in looks.values_mut() {
        let separator = if text.contains('\0') { '\0' } else { '\n' };
        let kept = text
            .split(separator)
            .filter(|part| !names.iter().any(|name| part.contains(name)));
        *text = kept.collect::<Vec<_>>().join(&separator.to_string());
    }
    looks
}

/// What files are, by path: mode, time, and content.
pub(super) type Prints = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

/// Every file below a directory with its times, mode and content: what must not change. References below `refs/banger` do
/// not count.
pub(super) fn fingerprint(dir: &Path) -> Result<Prints> {
    let mut prints = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(&at)? {
            let path = entry?.path();
            if path.ends_with("refs/banger") {
                continue;
            }
            let metadata = std::fs::symlink_metadata(&path)?;
            let content = if metadata.is_dir() {
                dirs.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                std::fs::read_link(&path)?.as_os_str().as_bytes().to_vec()
            } else {
                std::fs::read(&path)?
            };
            // That of `refs` changes with `refs/banger`; git that reads a split index touches its shared part.
            let shared = path.to_string_lossy().contains("sharedindex.");
            let (seconds, nanos) = match metadata.is_dir() || shared {
                true => (0, 0),
                false => (metadata.mtime(), metadata.mtime_nsec()),
            };
            prints.insert(path, (metadata.mode(), seconds, nanos, content));
        }
    }
    Ok(prints)
}

/// The work tree of a fake guest, as a directory of this host.
pub(super) fn in_guest(home: &Path, vm: &banger_api::Vm, path: &str) -> PathBuf {
    home.join("run/m")
        .join(&vm.id)
        .join("root")
        .join(path.trim_start_matches('/'))
}
