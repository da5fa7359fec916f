//! Repositories in guests.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("run_a_repository", run_a_repository),
    on_the_host("a_plan_names_every_file_and_what_stays", a_plan_names_every_file),
    on_the_host(
        "a_new_branch_from_a_commit_has_no_changes",
        a_new_branch_from_a_commit,
    ),
    on_the_host("without_a_repository_it_is_a_plain_vm", without_a_repository),
    on_the_host("a_detached_vm_runs_on", a_detached_vm_runs_on),
];

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=me",
            "-c",
            "user.email=me@here",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .current_dir(dir)
        .output()?;
    ensure!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// A repository with a commit, something staged, something changed, and something untracked.
fn repository() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
    git(dir.path(), &["init", "--quiet"])?;
    write("a.txt", "one\n")?;
    write("b.txt", "two\n")?;
    write(".gitignore", "ignored\n")?;
    git(dir.path(), &["add", "."])?;
    git(dir.path(), &["commit", "--quiet", "--message", "first"])?;
    git(dir.path(), &["tag", "v1"])?;
    write("b.txt", "staged\n")?;
    git(dir.path(), &["add", "b.txt"])?;
    write("a.txt", "changed\n")?;
    write("new.txt", "new\n")?;
    write("ignored", "no\n")?;
    write(".env", "SECRET=1\n")?;
    std::os::unix::fs::symlink("a.txt", dir.path().join("link"))?;
    Ok(dir)
}

fn run_args<'a>(backend: Backend, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["vm", "run", "--image", "busybox", "--memory", "512M"];
    args.extend(backend.options());
    args.extend(more);
    args
}

fn run_a_repository(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let repository = repository()?;
    let before = git(repository.path(), &["status", "--porcelain"])?;
    let script = "cat a.txt b.txt new.txt link; ls -A | sort; test -d .git && exit 7";
    let mut command = home.command(run_args(backend, &["--rm", "--", "sh", "-c", script]));
    command.current_dir(repository.path());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(7),
        "exit code {:?}: {said}",
        output.status.code()
    );
    let printed = String::from_utf8(output.stdout)?;
    // What git would not add stays here, and so does what looks like a secret.
    let names = ".git\n.gitignore\na.txt\nb.txt\nlink\nnew.txt\n";
    ensure!(
        printed == format!("changed\nstaged\nnew\nchanged\n{names}"),
        "{printed}"
    );
    ensure!(said.contains(".env is not copied"), "{said}");
    ensure!(
        git(repository.path(), &["status", "--porcelain"])? == before,
        "the repository was touched"
    );
    home.end()
}

fn a_plan_names_every_file(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let repository = repository()?;
    let path = repository.path().to_string_lossy().into_owned();
    let plan = home
        .banger(["vm", "run", "--dry-run", &path])?
        .ok()?
        .saying(".env is not copied")?;
    let plan = plan.text();
    for line in [
        "modified   8 B   a.txt",
        "staged     7 B   b.txt",
        "untracked  4 B   new.txt",
    ] {
        ensure!(plan.contains(line), "no `{line}` in:\n{plan}");
    }
    let plan = home
        .banger(["vm", "run", "--dry-run", "--no-untracked", &path])?
        .ok()?;
    ensure!(!plan.text().contains("new.txt"), "{}", plan.text());
    home.banger(["vm", "run", "--dry-run", "--from", "v9", &path])?
        .exited(125)?
        .saying("`v9` is not a commit")?;
    home.end()
}

fn a_new_branch_from_a_commit(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let repository = repository()?;
    let path = repository.path().to_string_lossy().into_owned();
    let args = ["--name", "web", "-d", "--branch", "fix", "--from", "v1", &path];
    home.banger(run_args(backend, &args))?.ok()?;
    // The fake guest has the host's git, and its root in its own directory.
    let status = home.banger([
        "vm",
        "exec",
        "web",
        "-w",
        "/root/repo",
        "--",
        "git",
        "status",
        "--short",
        "--branch",
    ])?;
    ensure!(status.clone().ok()?.text() == "## fix", "{}", status.text());
    home.end()
}

fn without_a_repository(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let nowhere = tempfile::tempdir()?;
    let path = nowhere.path().to_string_lossy().into_owned();
    let args = ["--rm", &path, "--", "echo", "plain"];
    let output = home
        .banger(run_args(backend, &args))?
        .ok()?
        .saying("not in a git repository")?;
    ensure!(output.text() == "plain", "{}", output.text());
    home.end()
}

fn a_detached_vm_runs_on(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let repository = repository()?;
    let path = repository.path().to_string_lossy().into_owned();
    let name = home.banger(run_args(backend, &["-d", &path]))?.ok()?.text();
    let shell = home
        .banger_with(["vm", "shell", &name], b"pwd; cat a.txt\n".to_vec())?
        .ok()?
        .text();
    ensure!(shell.ends_with("/root/repo\nchanged"), "{shell}");
    home.end()
}
