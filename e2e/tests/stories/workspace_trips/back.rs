//! Work that comes back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image};
use rustix::process::{Pid, Signal, kill_process};

use super::compare::{fingerprint, git, in_guest, line, run};
use super::{awkward, report, vm};

const SMALL: awkward::Kind = (
    "a small one",
    "init; for i in 1 2 3; do echo $i > f; commit; done; echo g > g; commit; echo local >> g; echo mine > mine",
);

/// A small repository that was placed in a VM.
struct Placed {
    dir: tempfile::TempDir,
    repository: PathBuf,
    /// Where it is in the guest.
    there: PathBuf,
}

fn placed(home: &Home, backend: Backend) -> Result<Placed> {
    let vm = vm(home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    report(home, &repository, &[])?;
    Ok(Placed {
        there: in_guest(home.path(), &vm, "/root/repo"),
        dir,
        repository,
    })
}

pub(super) fn pull(home: &Home) -> Result<banger_api::WorkspacePulled> {
    let output = home.banger(["vm", "workspace", "pull", "web", "--json"])?.ok()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// All of a repository but its objects, which only grow.
fn apart_from_objects(dir: &Path) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>> {
    let prints = fingerprint(dir)?;
    let kept = prints
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("/.git/objects/"));
    Ok(kept.map(|(path, (_, _, _, content))| (path, content)).collect())
}

pub(super) fn work_comes_back(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let Placed {
        dir,
        repository,
        there,
    } = placed(&home, backend)?;
    let none = pull(&home)?;
    ensure!(none.uncommitted, "local changes are not HEAD's: {none:?}");

    git(&there, &["checkout", "-q", "-b", "topic/one"])?;
    std::fs::write(there.join("new"), "from the guest")?;
    std::fs::write(there.join("bin"), [0, 1, 2, 255, 0])?;
    git(&there, &["add", "new", "bin"])?;
    git(&there, &["commit", "-q", "-m", "in the guest"])?;
    std::fs::write(there.join("untracked"), "and this")?;
    std::os::unix::fs::symlink("new", there.join("link"))?;
    std::fs::remove_file(there.join("f"))?;
    let index = std::fs::read(there.join(".git/index"))?;
    let before = apart_from_objects(&repository)?;
    let pulled = pull(&home)?;
    ensure!(
        apart_from_objects(&repository)? == before,
        "more than refs/banger changed"
    );
    ensure!(
        std::fs::read(there.join(".git/index"))? == index,
        "the guest's index was touched"
    );
    ensure!(
        pulled.tip.as_deref() == Some("refs/banger/web/work"),
        "{pulled:?}"
    );
    git(&repository, &["fsck", "--strict"])?;
    let head = line(&there, &["rev-parse", "HEAD"])?;
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/heads/topic/one"])? == head,
        "{pulled:?}"
    );
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/work^"])? == head,
        "{pulled:?}"
    );
    // The tree of the work is that of the guest's files.
    git(&there, &["add", "-A"])?;
    let tree = line(&there, &["write-tree"])?;
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/work^{tree}"])? == tree,
        "{pulled:?}"
    );
    ensure!(pull(&home)?.refs.is_empty(), "the same came twice");

    // A patch has the guest's changes alone, and applies to the host's files as they are.
    let patch = home.banger(["vm", "workspace", "export", "web"])?.ok()?.stdout;
    let file = dir.path().join("patch");
    std::fs::write(&file, patch)?;
    let path = file.to_string_lossy().into_owned();
    git(&repository, &["apply", &path])?;
    ensure!(
        std::fs::read(repository.join("bin"))? == [0, 1, 2, 255, 0],
        "it is not what was made"
    );
    ensure!(
        !repository.join("f").exists() && repository.join("link").is_symlink(),
        "a change is missing"
    );
    home.banger(["vm", "workspace", "export", "web", "--base", "v9"])?
        .failed()?
        .saying("what was placed is no longer")?;
    // The host has it all now: placing it again is no conflict.
    report(&home, &repository, &[])?;
    home.end()
}

pub(super) fn whatever_the_guest_did(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let Placed {
        dir: _dir,
        repository,
        there,
    } = placed(&home, backend)?;
    let commit = |text: &str| -> Result<String> {
        std::fs::write(there.join("new"), text)?;
        git(&there, &["add", "new"])?;
        git(&there, &["commit", "-q", "-m", text])?;
        line(&there, &["rev-parse", "HEAD"])
    };
    let first = commit("one")?;
    pull(&home)?;
    // Rewritten: the old commit stays by a name.
    git(&there, &["reset", "-q", "--hard", "HEAD~2"])?;
    let second = commit("two")?;
    git(&there, &["branch", "a/b"])?;
    pull(&home)?;
    let kept = format!("refs/banger/web/kept/{}", &first[..16]);
    ensure!(line(&repository, &["rev-parse", &kept])? == first, "it was lost");
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/HEAD"])? == second,
        "it did not move"
    );
    // A directory of branches becomes a branch; a branch goes.
    git(&there, &["branch", "-D", "-q", "a/b"])?;
    git(&there, &["branch", "a"])?;
    pull(&home)?;
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/heads/a"])? == second,
        "no branch a"
    );
    git(&there, &["branch", "-D", "-q", "a"])?;
    let pulled = pull(&home)?;
    ensure!(
        pulled
            .notes
            .iter()
            .any(|note| note.contains("the guest no longer has it")),
        "{pulled:?}"
    );
    // A history of its own.
    git(&there, &["checkout", "-q", "--orphan", "alone"])?;
    let orphan = commit("three")?;
    pull(&home)?;
    ensure!(
        line(&repository, &["rev-parse", "refs/banger/web/heads/alone"])? == orphan,
        "no orphan"
    );
    git(&repository, &["fsck", "--strict"])?;

    // Corrupted: an error, and nothing here changes.
    let before = fingerprint(&repository)?;
    let object = there.join(".git/objects").join(&orphan[..2]).join(&orphan[2..]);
    std::fs::remove_file(&object)?;
    let said = home.banger(["vm", "workspace", "pull", "web"])?.failed()?.stderr;
    ensure!(said.contains("git in the guest failed to"), "{said}");
    ensure!(fingerprint(&repository)? == before, "the repository was touched");
    // Gone altogether.
    std::fs::remove_dir_all(there.join(".git"))?;
    home.banger(["vm", "workspace", "pull", "web"])?
        .failed()?
        .saying("is no longer a git repository")?;
    ensure!(fingerprint(&repository)? == before, "the repository was touched");
    home.end()
}

pub(super) fn unsaved_work_is_told(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let machine = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    report(&home, &repository, &[])?;
    // Nothing was done: nothing is said.
    let said = home.banger(["vm", "stop", "web"])?.ok()?.stderr;
    ensure!(said.is_empty(), "{said}");
    home.banger(["vm", "delete", "web"])?.ok()?;

    let _ = machine;
    let machine = vm(&home, backend)?;
    report(&home, &repository, &[])?;
    let there = in_guest(home.path(), &machine, "/root/repo");
    std::fs::write(there.join("new"), "work")?;
    home.banger(["vm", "stop", "web"])?
        .ok()?
        .saying("VM web has work at /root/repo that was not pulled: 1 changed file")?;
    home.banger(["vm", "delete", "web"])?
        .exited(4)?
        .saying("banger vm workspace pull web /root/repo")?;
    home.banger(["vm", "prune", "--yes"])?
        .ok()?
        .saying("VM `web` has unsaved work at /root/repo")?;
    home.vm("web")?;
    home.banger(["vm", "delete", "-f", "web"])?
        .ok()?
        .saying("web had work at /root/repo")?;
    home.end()
}

/// Work that the guest's git cannot read, and repositories that were made in the guest, are unsaved whatever is pulled.
pub(super) fn what_no_pull_brings(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let machine = vm(&home, backend)?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    let patch = dir.path().join("patch");
    let workspace = |verb: &str, more: &[&str]| {
        home.banger([&["vm", "workspace", verb, "web", "/root/repo"], more].concat())
    };
    let unsaved = || -> Result<bool> {
        let status = workspace("status", &["--json"])?.ok()?;
        let status: banger_api::WorkspaceStatus = serde_json::from_slice(&status.stdout)?;
        Ok(status.unsaved)
    };
    report(&home, &repository, &[])?;
    let there = in_guest(home.path(), &machine, "/root/repo");
    run(&there, &["config", "filter.x.clean", "false"])?;
    run(&there, &["config", "filter.x.required", "true"])?;
    std::fs::write(there.join(".gitattributes"), "* filter=x\n")?;
    std::fs::write(there.join("precious"), "work")?;
    ensure!(unsaved()?, "work that git cannot read is not unsaved");
    let output = patch.to_str().context("a path")?;
    for refused in [workspace("export", &["-o", output])?, workspace("diff", &[])?] {
        refused.failed()?.saying("could not read all files")?;
    }
    ensure!(!patch.exists(), "a patch of a part was written");
    let pulled = pull(&home)?;
    ensure!(pulled.left.is_some(), "{pulled:?}");
    ensure!(unsaved()?, "a pull that brought nothing counts as one");
    std::fs::remove_file(there.join(".gitattributes"))?;
    pull(&home)?;
    ensure!(!unsaved()?, "all was pulled");

    std::fs::create_dir(there.join("lib"))?;
    run(&there.join("lib"), &["init", "-q"])?;
    std::fs::write(there.join("lib/file"), "work")?;
    ensure!(unsaved()?, "a repository without a commit is not unsaved");
    workspace("pull", &[])?.ok()?.saying("note: ")?.saying("lib")?;
    run(&there.join("lib"), &["add", "-A"])?;
    run(&there.join("lib"), &["commit", "-q", "-m", "lib"])?;
    workspace("pull", &[])?
        .ok()?
        .saying("lib in the guest is a repository of its own")?;
    workspace("status", &[])?
        .ok()?
        .saying("lib in the guest is a repository of its own")?;
    home.banger(["vm", "stop", "web"])?.ok()?.saying("lib")?;
    home.banger(["vm", "delete", "web"])?
        .exited(4)?
        .saying("has unsaved work at /root/repo")?
        .saying("vm cp")?;
    home.vm("web")?;
    home.end()
}

/// The guard of unsaved work is the daemon's: a client that knows nothing of it is refused.
pub(super) fn no_client_deletes_work(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let Placed { dir: _dir, there, .. } = placed(&home, backend)?;
    std::fs::write(there.join("new"), "work")?;
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/delete_vm.py");
    let socket = home.path().join("run/bangerd.sock");
    let delete = |more: &[&str]| -> Result<(Option<i32>, String, serde_json::Value)> {
        let mut python = Command::new("python3");
        python.arg(&client).arg(&socket).arg("web").args(more);
        let ran = python.output()?;
        let printed = String::from_utf8(ran.stdout)?;
        let (status, answer) = printed
            .split_once('\n')
            .with_context(|| format!("it printed {printed:?}: {}", String::from_utf8_lossy(&ran.stderr)))?;
        Ok((
            ran.status.code(),
            status.to_owned(),
            serde_json::from_str(answer)?,
        ))
    };

    let (code, status, answer) = delete(&[])?;
    ensure!(
        (code, status.as_str()) == (Some(4), "409"),
        "running: {status} {answer}"
    );
    ensure!(answer["code"] == "wrong_phase", "{answer}");
    ensure!(answer["message"] == "VM `web` is running", "{answer}");
    home.vm("web")?;

    home.banger(["vm", "stop", "web"])?.ok()?;
    let (code, status, answer) = delete(&[])?;
    ensure!(
        (code, status.as_str()) == (Some(4), "409"),
        "stopped: {status} {answer}"
    );
    let said = answer["message"].as_str().unwrap_or_default();
    ensure!(
        said.starts_with("VM `web` has unsaved work at /root/repo: 1 changed file"),
        "{answer}"
    );
    let hints = answer["hints"].to_string();
    ensure!(
        hints.contains("banger vm workspace pull web /root/repo")
            && hints.contains("banger vm delete -f web"),
        "{answer}"
    );
    home.vm("web")?;
    banger_cases::refused("state", "delete.unsaved-work-by-another-client");

    let (code, status, answer) = delete(&["--force"])?;
    ensure!(
        (code, status.as_str()) == (Some(0), "200"),
        "forced: {status} {answer}"
    );
    ensure!(answer["left"][0]["guest_path"] == "/root/repo", "{answer}");
    ensure!(home.vm("web").is_err(), "it is there yet");
    home.end()
}

pub(super) fn auto_export(backend: Backend) -> Result<()> {
    let home = home_that_exports()?;
    let Placed {
        dir: _dir,
        repository,
        there,
    } = placed(&home, backend)?;
    std::fs::write(there.join("new"), "work")?;
    home.banger(["vm", "delete", "-f", "web"])?
        .ok()?
        .saying("was brought back")?;
    let shown = run(&repository, &["show", "refs/banger/web/work:new"])?.stdout;
    ensure!(shown == b"work", "it did not come: {shown:?}");
    home.end()
}

/// A home whose configuration has work pulled before a VM goes.
fn home_that_exports() -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    std::fs::create_dir_all(home.path().join("config"))?;
    std::fs::write(home.path().join("config/config.toml"), "auto_export = true\n")?;
    Ok(home)
}

/// A `vm run --rm` whose command has written `work` to the file `new`, and goes on.
fn at_work(home: &Home, repository: &Path, work: &str) -> Result<Child> {
    let line = format!("echo {work} > new; echo up; exec sleep 1000");
    let mut client = home
        .command([
            "vm", "run", "--rm", "--name", "web", "--image", "busybox", "--vmm", "fake",
        ])
        .args(["--kernel", "debian", "--memory", "512M"])
        .arg(repository)
        .args(["--", "sh", "-c", &line])
        .spawn()?;
    let mut up = [0; 3];
    std::io::Read::read_exact(client.stdout.as_mut().context("its output")?, &mut up)?;
    Ok(client)
}

fn came(repository: &Path, work: &str) -> Result<()> {
    let shown = run(repository, &["show", "refs/banger/web/work:new"])?.stdout;
    ensure!(
        shown == format!("{work}\n").as_bytes(),
        "{work}: it did not come: {shown:?}"
    );
    Ok(())
}

/// A command that is killed cannot bring the work of its VM back, nor can one whose daemon is.
pub(super) fn auto_export_of_killed_commands(_: Backend) -> Result<()> {
    let home = home_that_exports()?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    for victim in ["client", "daemon"] {
        let work = format!("work of the {victim}");
        let mut client = at_work(&home, &repository, &work)?;
        if victim == "daemon" {
            // A command outlives its daemon, so it is killed too: the next daemon finds a VM that nobody holds.
            home.kill_daemon()?;
        }
        client.kill()?;
        client.wait_with_output()?;
        crate::promises::until_none(&home)?;
        came(&repository, &work)?;
        banger_cases::refused("state", &format!("remove-on-exit.work-of-a-killed-{victim}"));
    }
    home.end()
}

/// Waits until the daemon has logged that it keeps a VM for its work `times` times.
fn until_kept(home: &Home, times: usize) -> Result<()> {
    let log = home.path().join("state/bangerd.log");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(&log)?
        .matches("the VM was kept: its work was not pulled to the host")
        .count()
        < times
    {
        ensure!(Instant::now() < deadline, "nothing was tried");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Work that has no place to go keeps its VM, until it has one.
pub(super) fn work_without_a_place(_: Backend) -> Result<()> {
    let home = home_that_exports()?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    let mut client = at_work(&home, &repository, "work")?;
    let away = dir.path().join("away");
    std::fs::rename(&repository, &away)?;
    client.kill()?;
    client.wait_with_output()?;
    until_kept(&home, 1)?;
    let notice = home.vm("web")?.notice.unwrap_or_default();
    ensure!(
        notice.contains("`banger vm workspace pull web` pulls the work"),
        "{notice:?}"
    );
    std::fs::rename(&away, &repository)?;
    home.kill_daemon()?;
    crate::promises::until_none(&home)?;
    came(&repository, "work")?;
    home.end()
}

/// A VM that does not run cannot send its work, and stays: for this daemon, for the next one, and where no configuration says
/// what its user wants.
pub(super) fn work_of_a_stopped_vm(_: Backend) -> Result<()> {
    let home = home_that_exports()?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    let mut client = at_work(&home, &repository, "work")?;
    // It can do nothing about the end of its VM.
    let pid = Pid::from_raw(client.id().try_into()?).context("a process id")?;
    kill_process(pid, Signal::STOP)?;
    home.banger(["vm", "kill", "web"])?.ok()?;
    client.kill()?;
    client.wait_with_output()?;
    until_kept(&home, 1)?;
    std::fs::write(home.path().join("config/config.toml"), "nonsense")?;
    home.kill_daemon()?;
    ensure!(home.vm("web")?.phase.to_string() == "stopped");
    until_kept(&home, 2)?;
    let notice = home.vm("web")?.notice.unwrap_or_default();
    ensure!(
        notice.contains("`banger vm start web && banger vm workspace pull web` pulls the work"),
        "{notice:?}"
    );
    // A fake guest has no disk that outlives its machine: only that the VM stays can be seen here.
    home.vm("web")?;
    home.end()
}

/// A command that ends by itself: with work that no pull brings, its VM stays as one whose command was killed.
pub(super) fn work_that_no_pull_brings(_: Backend) -> Result<()> {
    let home = home_that_exports()?;
    let dir = tempfile::tempdir()?;
    let repository = awkward::make(dir.path(), &SMALL)?;
    let ran = |line: &str| {
        let mut args = vec![
            "vm", "run", "--rm", "--name", "web", "--image", "busybox", "--vmm",
        ];
        args.extend(["fake", "--kernel", "debian", "--memory", "512M"]);
        args.extend([repository.to_str().unwrap_or_default(), "--", "sh", "-c", line]);
        home.banger(args)
    };
    ran("echo work > new")?.ok()?.saying("was brought back")?;
    came(&repository, "work")?;
    crate::promises::until_none(&home)?;
    ran("mkdir lib && cd lib && git init -q && echo work > file")?
        .ok()?
        .saying("web was kept")?
        .saying("lib")?;
    until_kept(&home, 1)?;
    home.vm("web")?;
    home.banger(["vm", "delete", "-f", "web"])?.ok()?;
    home.end()
}
