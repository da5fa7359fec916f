//! A directory of a guest that is kept like one of the host.

mod endings;
mod watching;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_pass_sends_what_differs", a_pass),
    everywhere("a_repository_goes_where_its_workspace_is", a_repository),
    everywhere(
        "hundreds_of_changes_arrive_as_they_happen",
        watching::hundreds_of_changes,
    ),
    everywhere(
        "deletions_and_renames_arrive_as_they_happen",
        watching::deletions_and_renames,
    ),
    everywhere("a_thousand_changes_at_once_arrive", watching::a_thousand_changes),
    on_the_host("a_change_under_one_name_arrives_under_all", watching::hard_links),
    on_the_host(
        "changes_that_the_kernel_lost_are_found_by_a_pass",
        watching::lost_changes,
    ),
    on_the_host(
        "a_tree_that_goes_unheard_takes_nothing_with_it",
        watching::a_lost_end,
    ),
    everywhere("a_sync_goes_on_with_the_next_daemon", endings::the_next_daemon),
    everywhere(
        "a_sync_that_is_killed_leaves_no_half_file",
        endings::killed_in_the_middle,
    ),
];

fn sync(home: &Home, tree: &Path, more: &[&str]) -> Result<Vec<serde_json::Value>> {
    let what = format!("{}:app", tree.display());
    let args = [&["vm", "sync", "vm", &what, "--json"], more].concat();
    let said = home.banger(args)?.ok()?.text();
    said.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A line of shell in a directory of the guest.
fn sh(home: &Home, dir: &str, line: &str) -> Result<String> {
    let dir = format!("/root/{dir}");
    let args = ["vm", "exec", "vm", "-w", &dir, "--", "sh", "-c", line];
    Ok(home.banger(args)?.ok()?.text())
}

/// The paths of the events of a kind.
fn paths<'a>(events: &'a [serde_json::Value], kind: &str) -> Vec<&'a str> {
    let of = events.iter().filter(|event| event["event"] == kind);
    let mut paths: Vec<_> = of.filter_map(|event| event["path"].as_str()).collect();
    paths.sort_unstable();
    paths
}

/// What a tree is, apart from times of directories and what git owns.
fn described(dir: &Path) -> Result<BTreeMap<String, String>> {
    let format = "%P\\t%y %m %l %T@ %s\\0";
    let found = Command::new("find")
        .args([
            ".",
            "-mindepth",
            "1",
            "-name",
            ".git",
            "-prune",
            "-o",
            "-printf",
            format,
        ])
        .current_dir(dir)
        .output()?;
    ensure!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let mut all = BTreeMap::new();
    for line in found
        .stdout
        .split(|&byte| byte == 0)
        .filter(|line| !line.is_empty())
    {
        let line = line.escape_ascii().to_string();
        let (path, rest) = line.split_once("\\t").context("a path")?;
        let mut rest: Vec<_> = rest.split(' ').map(str::to_owned).collect();
        if rest[0] == "d" {
            rest.truncate(2);
        } else if rest[0] == "l" {
            rest.remove(3);
        }
        all.insert(path.to_owned(), rest.join(" "));
    }
    Ok(all)
}

/// Fails if the guest's directory is not like the tree.
fn compare(home: &Home, tree: &Path) -> Result<()> {
    let back = tempfile::tempdir()?;
    let to = back.path().join("app");
    home.banger([
        "vm".as_ref(),
        "cp".as_ref(),
        "-q".as_ref(),
        "vm:app".as_ref(),
        to.as_os_str(),
    ])?
    .ok()?;
    let (here, there) = (described(tree)?, described(&to)?);
    let differing = here
        .iter()
        .filter(|(path, what)| there.get(*path) != Some(what))
        .take(5);
    let differing: Vec<_> = differing
        .map(|(path, what)| format!("{path}: {what}, in the guest {:?}", there.get(path)))
        .collect();
    ensure!(differing.is_empty(), "{differing:#?}");
    let more: Vec<_> = there
        .keys()
        .filter(|path| !here.contains_key(*path))
        .take(5)
        .collect();
    ensure!(more.is_empty(), "there are more: {more:?}");
    let differs = Command::new("diff")
        .args(["-r", "--no-dereference", "-x", ".git"])
        .arg(tree)
        .arg(&to)
        .output()?;
    ensure!(
        differs.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&differs.stdout)
    );
    Ok(())
}

fn a_pass(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    let write = |name: &str, text: &str| std::fs::write(tree.join(name), text);
    Command::new("git").arg("init").arg("-q").arg(tree).status()?;
    std::fs::create_dir_all(tree.join("src/deep"))?;
    std::fs::create_dir(tree.join("target"))?;
    write(".gitignore", "target/\n*.log\n")?;
    write(".bangerignore", "private\n")?;
    write("src/deep/a", "a")?;
    write("src/b", "b")?;
    write("target/large", "no")?;
    write("x.log", "no")?;
    write("private", "no")?;
    symlink("src/b", tree.join("link"))?;
    std::fs::write(tree.join(std::ffi::OsStr::from_bytes(b"odd \xff\n")), "odd")?;
    let events = sync(&home, tree, &[])?;
    ensure!(paths(&events, "push").len() == 8, "{events:?}");
    ensure!(
        sync(&home, tree, &["--delete"])?.is_empty(),
        "the second pass sent something"
    );
    // One is edited, one has its mode changed, a directory becomes a file, a file a directory, a link leads elsewhere.
    write("src/b", "B")?;
    std::fs::set_permissions(tree.join("src/deep/a"), PermissionsExt::from_mode(0o700))?;
    let events = sync(&home, tree, &[])?;
    ensure!(paths(&events, "push") == ["src/b", "src/deep/a"], "{events:?}");
    std::fs::remove_dir_all(tree.join("src/deep"))?;
    write("src/deep", "a file now")?;
    std::fs::remove_file(tree.join("src/b"))?;
    std::fs::create_dir(tree.join("src/b"))?;
    std::fs::remove_file(tree.join("link"))?;
    symlink("elsewhere", tree.join("link"))?;
    // What is only in the guest goes with --delete alone, and never what is ignored here.
    home.banger([
        "vm",
        "exec",
        "vm",
        "-w",
        "/root/app",
        "--",
        "sh",
        "-c",
        "mkdir -p target/made old/x.log; echo 1 > old/gone; echo 2 > more",
    ])?
    .ok()?;
    let events = sync(&home, tree, &[])?;
    ensure!(
        paths(&events, "push") == ["link", "src/b", "src/deep"],
        "{events:?}"
    );
    let events = sync(&home, tree, &["--delete"])?;
    ensure!(paths(&events, "remove") == ["more", "old/gone"], "{events:?}");
    let left = home
        .banger([
            "vm",
            "exec",
            "vm",
            "-w",
            "/root/app",
            "--",
            "ls",
            "old",
            "target",
            "src",
        ])?
        .ok()?
        .text();
    ensure!(left.contains("x.log") && left.contains("made"), "{left}");
    home.banger(["vm", "sync", "vm", "/etc/hostname:x"])?
        .failed()?
        .saying("not a directory")?;
    home.end()
}

/// As `vm workspace prepare` has it: what is tracked goes though git would ignore it, what we name stays.
fn a_repository(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let dir = tempfile::tempdir()?;
    let tree = dir.path();
    let git = |args: &[&str]| -> Result<()> {
        let ran = Command::new("git").arg("-C").arg(tree).args(args).status()?;
        ensure!(ran.success(), "git {args:?}");
        Ok(())
    };
    git(&["init", "-q"])?;
    std::fs::create_dir_all(tree.join("made/deep"))?;
    for (name, text) in [
        (".gitignore", "made/\n"),
        (".bangerignore", "private\n"),
        ("made/deep/kept", "1"),
        ("made/deep/other", "1"),
        ("private", "1"),
        ("plain", "1"),
    ] {
        std::fs::write(tree.join(name), text)?;
    }
    git(&["add", "-f", "made/deep/kept", "private"])?;
    // From anywhere in it.
    let deep = tree.join("made/deep");
    let deep = deep.to_str().context("a path")?;
    let seen = |dir: &str| sh(&home, dir, "find . -type f | sort");
    home.banger(["vm", "sync", "vm", deep])?.ok()?;
    let files = "./.bangerignore\n./.gitignore\n./made/deep/kept\n./plain";
    ensure!(seen("repo")?.trim() == files, "{}", seen("repo")?);
    home.banger(["vm", "sync", "vm", deep, "--guest-path", "elsewhere"])?
        .ok()?;
    ensure!(seen("elsewhere")?.trim() == files, "{}", seen("elsewhere")?);
    home.banger(["vm", "sync", "vm", "/"])?
        .failed()?
        .saying("not in a git repository: /")?;
    secrets(&home, tree)
        .context("files that look like secrets")
        .and_then(|()| home.end())
}

/// Files that look like secrets stay, are named, and are not removed where they are.
fn secrets(home: &Home, tree: &Path) -> Result<()> {
    std::fs::write(tree.join(".env"), "TOKEN=1")?;
    std::fs::write(tree.join("id_ed25519"), "key")?;
    let git = Command::new("git")
        .arg("-C")
        .arg(tree)
        .args(["add", "id_ed25519"])
        .status()?;
    ensure!(git.success());
    let events = sync(home, tree, &[])?;
    ensure!(paths(&events, "skip") == [".env"], "{events:?}");
    ensure!(paths(&events, "push").contains(&"id_ed25519"), "{events:?}");
    sh(home, "app", "test ! -e .env; echo guest > .env")?;
    let events = sync(home, tree, &["--delete"])?;
    ensure!(paths(&events, "remove").is_empty(), "{events:?}");
    std::fs::rename(tree.join(".env"), tree.join("env"))?;
    let events = sync(home, tree, &["--delete"])?;
    ensure!(paths(&events, "remove").is_empty(), "{events:?}");
    std::fs::rename(tree.join("env"), tree.join(".env"))?;
    let events = sync(home, tree, &["--include-secrets"])?;
    ensure!(paths(&events, "push") == [".env"], "{events:?}");
    ensure!(sh(home, "app", "cat .env")?.trim() == "TOKEN=1");
    Ok(())
}
