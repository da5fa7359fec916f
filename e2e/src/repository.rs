//! Repositories of the host's, made by the git that is installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs `git` in a directory, with its user's settings apart, and gives what it prints.
///
/// # Errors
/// When it fails.
pub fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .output()?;
    ensure!(output.status.success(), "git {args:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A repository with these files, of which none is added.
///
/// # Errors
/// When it cannot be made.
pub fn repository(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    git(dir.path(), &["init", "-q", "-b", "main"])?;
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().context("a directory")?)?;
        std::fs::write(path, text)?;
    }
    Ok(dir)
}

/// The same with all of them in a first commit.
///
/// # Errors
/// When it cannot be made.
pub fn committed(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
    let dir = repository(files)?;
    git(dir.path(), &["add", "-A"])?;
    git(dir.path(), &["commit", "-q", "-m", "first"])?;
    Ok(dir)
}
