//! Repositories with named pipes, sockets and links to them where git or banger opens a file: nothing waits for who never writes.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, Output, committed, git};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host("git_waits_for_no_pipe_of_a_repository", of_git),
    on_the_host("a_pipe_in_place_of_a_file_is_a_deletion", in_place),
    on_the_host("work_comes_back_beside_a_pipe", work_comes_back),
];

/// Longer than all of it takes, and much shorter than git would wait.
const AT_ONCE: Duration = Duration::from_secs(40);

fn pipe(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("a directory")?)?;
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(())
}

/// Runs it in the repository, and sees that it neither hangs nor fails without a word about the path.
fn at_once(home: &Home, at: &Path, args: &[&str], name: &str) -> Result<Output> {
    let since = Instant::now();
    let mut command = home.command(args);
    command.current_dir(at);
    let output = home.finish(command, Vec::new())?;
    ensure!(
        since.elapsed() < AT_ONCE,
        "{name}: {} took {:?}",
        output.line,
        since.elapsed()
    );
    ensure!(
        output.code == 0 || output.stderr.contains(name),
        "{name}: {} exited with {}: {}",
        output.line,
        output.code,
        output.stderr
    );
    Ok(output)
}

/// A repository with a changed and an untracked file, and pipes of these names.
fn piped(names: &[&str]) -> Result<tempfile::TempDir> {
    let repository = committed(&[("src/file", "1\n"), ("README", "x\n")])?;
    let at = repository.path();
    std::fs::write(at.join("src/file"), "changed\n")?;
    std::fs::create_dir_all(at.join("new/deep"))?;
    std::fs::write(at.join("new/deep/file"), "new\n")?;
    for name in names {
        pipe(&at.join(name))?;
        // What git takes for a repository.
        if let Some((dir, _)) = name.split_once(".git/") {
            std::fs::create_dir_all(at.join(dir).join(".git/objects"))?;
            std::fs::create_dir_all(at.join(dir).join(".git/refs"))?;
        }
    }
    Ok(repository)
}

const RUN: [&str; 14] = [
    "vm", "run", "--vmm", "fake", "--image", "busybox", "--kernel", "debian", "--memory", "512M", "--rm",
    "--trust", "--", "true",
];

fn of_git(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    for name in [
        ".gitignore",
        "src/.gitignore",
        "new/deep/.gitignore",
        "src/.gitattributes",
        "nested/.git/HEAD",
    ] {
        let repository = piped(&[name])?;
        for args in [
            &["vm", "run", "--dry-run"][..],
            &["vm", "workspace", "prepare", "web", "--force"],
            &[
                "vm",
                "workspace",
                "prepare",
                "web",
                "--force",
                "--mode",
                "full-copy",
            ],
            &["vm", "sync", "web", ".:synced"],
            &RUN,
        ] {
            let output = at_once(&home, repository.path(), args, name)?;
            if args.contains(&"sync") {
                output.ok()?;
            } else if output.code != 0 || !args.contains(&"--dry-run") {
                // Which files go can be seen without some of what git reads when they do.
                output.failed()?.saying("is a named pipe")?.saying("hint: ")?;
            }
        }
        home.exec("web", &["rm", "-rf", "repo", "synced"])?.ok()?;
        refused("git", &format!("wait.{}", name.replace('/', ".")));
    }
    // What git does not open, and banger opens only when it is a file.
    let names = [
        ".bangerignore",
        "src/.bangerignore",
        ".mailmap",
        "banger.toml",
        ".devcontainer/devcontainer.json",
        ".nvmrc",
        "mise.toml",
        "pipe",
    ];
    let repository = piped(&names)?;
    for args in [
        &["vm", "run", "--dry-run"][..],
        &["vm", "workspace", "prepare", "web"],
        &["vm", "sync", "web", ".:synced"],
        &["trust", "show"],
        &RUN,
    ] {
        at_once(&home, repository.path(), args, "pipe")?.ok()?;
    }
    for name in names {
        refused("git", &format!("wait.{}", name.replace('/', ".")));
    }
    home.end()
}

fn in_place(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let repository = committed(&[("a", "1\n"), ("dir/b", "2\n"), ("c", "3\n"), ("d", "4\n")])?;
    let at = repository.path();
    pipe(&at.join("a"))?;
    std::fs::remove_file(at.join("dir/b"))?;
    let _socket = std::os::unix::net::UnixListener::bind(at.join("dir/b"))?;
    std::fs::remove_file(at.join("c"))?;
    symlink("a", at.join("c"))?;
    at_once(&home, at, &["vm", "workspace", "prepare", "web"], "a")?.ok()?;
    let status = home
        .exec("web", &["sh", "-c", "cd repo && git status --porcelain"])?
        .ok()?;
    // Without the space that is taken off the first line.
    let lines: Vec<String> = status.text().lines().map(|line| line.trim().to_owned()).collect();
    ensure!(lines == ["D a", "T c", "D dir/b"], "{status:?}");
    refused("host-files", "prepare.pipe-in-place");
    refused("host-files", "prepare.socket-in-place");
    at_once(&home, at, &["vm", "sync", "web", ".:synced"], "a")?.ok()?;
    let listed = home.exec("web", &["sh", "-c", "ls -A synced | sort"])?;
    ensure!(
        listed.text().lines().collect::<Vec<_>>() == ["c", "d", "dir"],
        "{}",
        listed.text()
    );
    home.end()
}

fn work_comes_back(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "web", &[])?;
    let repository = committed(&[("a", "1\n")])?;
    let at = repository.path();
    at_once(&home, at, &["vm", "workspace", "prepare", "web"], "a")?.ok()?;
    home.exec("web", &["sh", "-c", "echo work > repo/made"])?.ok()?;
    // Somebody else puts it there meanwhile, and no work is kept from coming back by it.
    pipe(&at.join(".gitignore"))?;
    at_once(&home, at, &["vm", "workspace", "pull", "web"], ".gitignore")?
        .ok()?
        .saying(".gitignore is a named pipe")?;
    let made = git(at, &["show", "refs/banger/web/work:made"])?;
    ensure!(made == "work", "{made}");
    at_once(&home, at, &["vm", "workspace", "apply", "web"], ".gitignore")?
        .failed()?
        .saying(".gitignore is a named pipe")?;
    std::fs::remove_file(at.join(".gitignore"))?;
    home.banger(["vm", "workspace", "apply", "web"])?.ok()?;
    ensure!(
        std::fs::read_to_string(at.join("made"))? == "work\n",
        "nothing was applied"
    );
    refused("git", "wait.pull-and-apply");
    home.end()
}
