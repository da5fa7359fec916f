//! The daemon may end at any instant.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home, Image, repository};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::{Scenario, everywhere, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_killed_daemon_loses_no_vm", a_killed_daemon),
    on_the_host("an_upgrade_touches_no_vm", an_upgrade),
    on_the_host("an_upgrade_in_the_middle_of_a_run", amid_a_run),
    on_the_host("ten_commands_at_once_start_one_daemon", ten_commands_at_once),
    on_the_host(
        "a_machine_that_died_unseen_is_cleared_up",
        a_machine_that_died_unseen,
    ),
    on_the_host("looking_starts_nothing", looking_starts_nothing),
];

fn kill(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process id")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

fn kill_and_wait(pid: i32) -> Result<()> {
    let handle = pidfd_open(Pid::from_raw(pid).context("a process id")?, PidfdFlags::empty())?;
    kill(pid)?;
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], None)?;
    Ok(())
}

fn a_killed_daemon(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let machine = home.vm("vm")?.machine.context("a machine")?;
    let at_home = |line: &str| home.banger(["vm", "exec", "vm", "-w", "/root", "--", "sh", "-c", line]);
    at_home("echo here > file")?.ok()?;
    if backend.is_real() {
        at_home("sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > child")?.ok()?;
    }
    let first = home.daemon_pid()?;
    kill(first)?;
    // The next command starts another, which takes the machine over.
    home.exec("vm", &["true"])?.ok()?;
    ensure!(home.daemon_pid()? != first);
    let now = home.vm("vm")?.machine.context("a machine after the kill")?;
    ensure!(
        (now.pid, now.started) == (machine.pid, machine.started),
        "another machine runs"
    );
    // Neither a file nor a process of the guest is lost.
    ensure!(at_home("cat file")?.ok()?.text() == "here", "the file is gone");
    if backend.is_real() {
        at_home("kill -0 $(cat child)")?.ok()?;
    }
    home.banger(["vm", "stop", "vm"])?.ok()?;
    home.banger(["vm", "start", "vm"])?.ok()?;
    if backend.is_real() {
        let kept = at_home("cat file")?.ok()?.text();
        ensure!(kept == "here", "{kept}");
    }
    home.end()
}

fn an_upgrade(backend: Backend) -> Result<()> {
    let dir = built()?;
    let home = Home::new(&[Image::Busybox])?.with_programs(dir.path());
    // The home's preparation used another build: it speaks the same API, so it stays.
    home.create(backend, Image::Busybox, "vm", &[])?;
    let (daemon, machine) = (home.daemon_pid()?, home.vm("vm")?.machine.context("a machine")?);
    replace(&dir.path().join("bangerd"))?;
    let used = home.exec("vm", &["true"])?.ok()?.stderr;
    ensure!(
        used.is_empty() && home.daemon_pid()? == daemon,
        "it was replaced unasked: {used}"
    );
    // A command that runs goes on, and one whose VM goes with it keeps that VM.
    let repository = home.path().join("repository");
    std::fs::create_dir(&repository)?;
    let mut run = home
        .command([
            "vm",
            "run",
            "--rm",
            "--name",
            "made",
            "--image",
            "busybox",
            "--vmm",
            backend.name(),
        ])
        .args(["--kernel", "debian", "--memory", "512M"])
        .arg(&repository)
        .args(["--", "sh", "-c", "echo up; read line; echo $line; exit 7"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut up = [0; 3];
    std::io::Read::read_exact(run.stdout.as_mut().context("its output")?, &mut up)?;
    home.banger(["daemon", "restart"])?.ok()?;
    ensure!(home.daemon_pid()? != daemon, "it was not replaced");
    ensure!(home.vm("made")?.phase.to_string() == "running");
    std::io::Write::write_all(run.stdin.as_mut().context("its input")?, b"after the upgrade\n")?;
    let ended = run.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure!(
        ended.status.code() == Some(7) && said == "after the upgrade\n",
        "{ended:?}"
    );
    ensure!(home.vm("made").is_err(), "it did not go with its command");
    ensure!(home.vm("vm")?.machine.context("a machine")?.pid == machine.pid);
    home.end()
}

/// `vm run -- make test`, and the daemon is replaced by another build while the tests print and their checkout is in use.
fn amid_a_run(backend: Backend) -> Result<()> {
    const LINES: usize = 60;
    let dir = built()?;
    let home = Home::new(&[Image::Busybox])?.with_programs(dir.path());
    home.create(backend, Image::Busybox, "vm", &[])?;
    let makefile = format!(
        "test:\n\t@i=0; while [ $$i -lt {LINES} ]; do i=$$((i + 1)); echo line $$i; sleep 0.05; done; \
         cat kept; exit 7\n"
    );
    let repository = repository(&[("Makefile", &makefile), ("kept", "the end\n")])?;
    for more in [&["--rm"][..], &[]] {
        let mut run = home
            .command([
                "vm", "run", "--name", "made", "--image", "busybox", "--kernel", "debian",
            ])
            .args(["--vmm", backend.name(), "--memory", "512M"])
            .args(more)
            .arg(repository.path())
            .args(["--", "make", "test"])
            .spawn()?;
        let mut first = [0; 7];
        std::io::Read::read_exact(run.stdout.as_mut().context("its output")?, &mut first)?;
        let before = home.daemon_pid()?;
        replace(&dir.path().join("bangerd"))?;
        home.banger(["daemon", "restart"])?.ok()?;
        ensure!(home.daemon_pid()? != before, "it was not replaced");
        ensure!(run.try_wait()?.is_none(), "the tests ended before the upgrade");
        let ended = run.wait_with_output()?;
        let said = [&first[..], &ended.stdout].concat();
        let lines = (1..=LINES).map(|line| format!("line {line}\n"));
        let whole: String = lines.chain(["the end\n".to_owned()]).collect();
        // What make makes of a recipe that fails.
        ensure!(
            ended.status.code() == Some(2) && said == whole.as_bytes(),
            "{more:?}: {} {ended:?}",
            String::from_utf8_lossy(&said)
        );
        // Without `--rm` it stays.
        ensure!(home.vm("made").is_err() != more.is_empty(), "{more:?}");
    }
    home.banger(["vm", "delete", "-f", "made"])?.ok()?;
    home.end()
}

/// The programs in a directory of their own, where they can be replaced.
fn built() -> Result<tempfile::TempDir> {
    let built = std::env::current_exe()?;
    let built = built.ancestors().nth(2).context("the target directory")?;
    let dir = tempfile::tempdir()?;
    for name in ["banger", "bangerd", "banger-fake-guest", "banger-vsock-agent"] {
        std::fs::copy(built.join(name), dir.path().join(name))?;
    }
    Ok(dir)
}

/// Puts the same program in place again, as an installation does.
fn replace(path: &Path) -> Result<()> {
    let beside = path.with_extension("new");
    std::fs::copy(path, &beside)?;
    Ok(std::fs::rename(&beside, path)?)
}

fn ten_commands_at_once(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    let children: Vec<_> = (0..10)
        .map(|_| {
            home.command(["vm", "list", "--json"])
                .stdin(Stdio::null())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    for child in children {
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    home.end()
}

fn a_machine_that_died_unseen(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    let machine = home.vm("vm")?.machine.context("a machine")?;
    home.kill_daemon()?;
    kill_and_wait(machine.pid)?;
    ensure!(home.vm("vm")?.phase.to_string() == "stopped");
    home.banger(["vm", "start", "vm"])?.ok()?;
    home.exec("vm", &["true"])?.ok()?;
    home.end()
}

fn looking_starts_nothing(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    home.banger(["version"])?.ok()?;
    home.banger(["doctor"])?;
    home.banger(["daemon", "status"])?.exited(1)?;
    // But for what the scenario itself has made.
    let made = std::fs::read_dir(home.path())?.flatten();
    let made = made.filter(|entry| entry.path() != home.user_dir());
    ensure!(made.count() == 0, "something was made");
    Ok(())
}
