//! Work that comes back through filters of the user's own.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, git};

use crate::applying::{in_guest, path, pull};
use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("files_behind_filters_are_named", filters),
    on_the_host(
        "files_behind_filters_are_clean_in_the_guest",
        clean_behind_filters,
    ),
    on_the_host(
        "filters_are_found_where_the_caller_has_them",
        filters_of_the_caller,
    ),
];

fn filters(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("repo");
    std::fs::create_dir(&repo)?;
    git(&repo, &["init", "-q", "-b", "main"])?;
    let ran = dir.path().join("ran");
    git(
        &repo,
        &[
            "config",
            "filter.crypt.clean",
            &format!("touch {}; tr a-m n-z", ran.display()),
        ],
    )?;
    git(
        &repo,
        &[
            "config",
            "filter.crypt.smudge",
            &format!("touch {}; tr n-z a-m", ran.display()),
        ],
    )?;
    std::fs::write(repo.join(".gitattributes"), "*.key filter=crypt\n")?;
    std::fs::write(repo.join("a.key"), "abc\n")?;
    git(&repo, &["add", "-A"])?;
    git(&repo, &["commit", "-q", "-m", "first"])?;
    ensure!(git(&repo, &["cat-file", "blob", "HEAD:a.key"])? == "nop");
    std::fs::remove_file(&ran)?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let prepared = home
        .banger(["vm", "workspace", "prepare", "web", path(&repo)?])?
        .ok()?;
    prepared
        .saying("1 file is stored through the filter `crypt`")?
        .saying("does not run on this host")?;
    ensure!(!ran.exists(), "the filter ran");
    refused("git", "filter.local-at-prepare");
    in_guest(&home, "test \"$(cat a.key)\" = abc && echo abd > a.key")?;
    pull(&home)?.saying("a.key was pulled without the filter `crypt`")?;
    ensure!(!ran.exists(), "the filter ran");
    refused("git", "filter.local-at-pull");
    home.end()
}

/// A repository whose `*.key` files go through the filter `crypt`, in place since long ago.
fn behind_filters(dir: &Path) -> Result<()> {
    std::fs::create_dir(dir)?;
    git(dir, &["init", "-q", "-b", "main"])?;
    std::fs::write(dir.join(".gitattributes"), "*.key filter=crypt\n")?;
    std::fs::write(dir.join("a.key"), "abc\n")?;
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
    std::fs::File::options()
        .append(true)
        .open(dir.join("a.key"))?
        .set_modified(old)?;
    Ok(())
}

/// The guest has the content and none of the filters, and `git status` in there shows what the guest changed, and nothing else.
fn clean_behind_filters(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let dir = tempfile::tempdir()?;
    let repo = dir.path().join("repo");
    behind_filters(&repo)?;
    for (part, program) in [
        ("clean", "tr a-m n-z"),
        ("smudge", "tr n-z a-m"),
        ("required", "true"),
    ] {
        git(&repo, &["config", &format!("filter.crypt.{part}"), program])?;
    }
    git(&repo, &["add", "-A"])?;
    git(&repo, &["commit", "-q", "-m", "first"])?;
    ensure!(git(&repo, &["cat-file", "blob", "HEAD:a.key"])? == "nop");
    home.create(backend, Image::Busybox, "web", &[])?;
    home.banger(["vm", "workspace", "prepare", "web", path(&repo)?])?
        .ok()?;
    in_guest(
        &home,
        "test \"$(cat a.key)\" = abc && test -z \"$(git status --porcelain)\"",
    )?;
    // Work beside it comes back and leaves it as it is stored.
    in_guest(
        &home,
        "echo more > more && git add -A && git -c user.name=g -c user.email=g@g commit -qm guest",
    )?;
    let pulled = pull(&home)?;
    ensure!(!pulled.stderr.contains("a.key"), "{}", pulled.stderr);
    ensure!(git(&repo, &["cat-file", "blob", "refs/banger/web/HEAD:a.key"])? == "nop");
    in_guest(
        &home,
        "echo abd > a.key && test \"$(git status --porcelain)\" = ' M a.key'",
    )?;
    home.end()
}

/// A filter of the user's own is a program where the caller has its programs, whoever started the daemon.
fn filters_of_the_caller(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?.with_env("GIT_CONFIG_NOSYSTEM", "1");
    let dir = tempfile::tempdir()?;
    let (repo, bin, user) = (
        dir.path().join("repo"),
        dir.path().join("bin"),
        dir.path().join("user"),
    );
    behind_filters(&repo)?;
    std::fs::create_dir(&bin)?;
    std::fs::create_dir(&user)?;
    for (name, program) in [("my-clean", "tr a-m n-z"), ("my-smudge", "tr n-z a-m")] {
        std::fs::write(bin.join(name), format!("#!/bin/sh\nexec {program}\n"))?;
        std::fs::set_permissions(
            bin.join(name),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
    }
    std::fs::write(
        user.join(".gitconfig"),
        "[filter \"crypt\"]\n\tclean = my-clean\n\tsmudge = my-smudge\n\trequired = true\n",
    )?;
    let searched = format!("{}:/usr/local/bin:/usr/bin:/bin", path(&bin)?);
    let added = Command::new("git")
        .args(["add", "-A"])
        .current_dir(&repo)
        .env("HOME", &user)
        .env("PATH", &searched)
        .status()?;
    ensure!(added.success(), "git add");
    git(&repo, &["commit", "-q", "-m", "first"])?;
    // Its time says nothing: only the filter tells that it is as it is stored.
    std::fs::write(repo.join("a.key"), "abc\n")?;
    // The daemon runs, with another `PATH` and another `HOME`.
    home.create(backend, Image::Busybox, "web", &[])?;
    let mut prepare = home.command(["vm", "workspace", "prepare", "web", path(&repo)?, "--dry-run"]);
    prepare.env("HOME", &user).env("PATH", &searched);
    let planned = home.finish(prepare, Vec::new())?.ok()?;
    let line = planned
        .text()
        .lines()
        .find(|line| line.contains("a.key"))
        .map(str::to_owned);
    ensure!(
        line.as_ref().is_some_and(|line| line.starts_with("tracked")),
        "{line:?}"
    );
    home.end()
}
