//! Sessions: what is done with them, who writes to them, and what their terminals show. How they live on is in
//! `session_lives`, what they wrote in `session_output`.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_api::VmSession;
use banger_api::stream::SessionState;
use banger_e2e::{Backend, Home, Image, Output};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scenario, everywhere};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_session_is_started_and_looked_after", each_verb),
    everywhere("a_session_is_looked_over_before_it_starts", preflight),
    everywhere("input_is_sent_to_a_session", input),
    everywhere("a_session_that_fails_is_started_again", restarts),
];

/// `banger vm session …`.
pub(crate) fn session(home: &Home, args: &[&str]) -> Result<Output> {
    home.banger(["vm", "session"].iter().chain(args))
}

pub(crate) fn show(home: &Home, name: &str) -> Result<VmSession> {
    let shown = session(home, &["show", "vm", name, "--json"])?.ok()?;
    Ok(serde_json::from_slice(&shown.stdout)?)
}

/// A home with a VM.
pub(crate) fn home_with_vm(backend: Backend) -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    Ok(home)
}

/// Starts a client that goes on, with its output for us.
pub(crate) fn client(home: &Home, args: &[&str]) -> Result<Child> {
    let args = ["vm", "session"].iter().chain(args);
    Ok(home.command(args).stdin(Stdio::null()).spawn()?)
}

pub(crate) fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(child.id().try_into()?).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// Waits until a session has written something more.
pub(crate) fn written_beyond(home: &Home, name: &str, cursor: u64) -> Result<u64> {
    let since = Instant::now();
    loop {
        let end = show(home, name)?.log.end;
        if end > cursor {
            return Ok(end);
        }
        ensure!(since.elapsed() < Duration::from_secs(60), "it writes no more");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The process that was started as this in the guest.
pub(crate) fn guest_process(home: &Home, start: &str) -> Result<String> {
    let find = format!(
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^{start}' && echo ${{p#/proc/}}; done; true"
    );
    home.sh("vm", &find)
}

fn each_verb(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let script = "echo out; echo err >&2; trap 'echo caught; exit 7' INT; while :; do sleep 0.1; done";
    let started = session(
        &home,
        &[
            "start", "vm", "-e", "A=b", "--name", "one", "--", "sh", "-c", script,
        ],
    )?;
    ensure!(started.ok()?.text() == "one");
    session(&home, &["start", "vm", "--name", "one", "--", "true"])?
        .exited(4)?
        .saying("session `one` already exists")?;
    written_beyond(&home, "one", 7)?;
    let listed = session(&home, &["list", "vm"])?.ok()?.text();
    ensure!(listed.contains("one") && listed.contains("running"), "{listed}");
    session(&home, &["rm", "vm", "one"])?
        .exited(4)?
        .saying("session `one` is running")?;
    session(&home, &["signal", "vm", "one", "INT"])?.ok()?;
    session(&home, &["wait", "vm", "one"])?.exited(7)?;
    let logs = session(&home, &["logs", "vm", "one"])?.ok()?;
    ensure!(logs.text() == "out\ncaught" && logs.stderr == "err\n", "{logs:?}");
    let only = session(&home, &["logs", "vm", "one", "--stream", "stderr"])?.ok()?;
    ensure!(only.text().is_empty() && only.stderr == "err\n", "{only:?}");
    let rest = session(&home, &["logs", "vm", "one", "--since", "8", "--show-cursor"])?.ok()?;
    ensure!(
        rest.text() == "caught" && rest.stderr == "cursor: 15\n",
        "{rest:?}"
    );
    // One who comes late is told how it ended.
    session(&home, &["attach", "vm", "one"])?.exited(7)?;
    let shown = show(&home, "one")?;
    ensure!(
        shown.state == SessionState::Exited && shown.exit_code == Some(7),
        "{shown:?}"
    );
    ensure!(
        shown.ended_ms >= Some(shown.started_ms) && shown.usage.is_some(),
        "{shown:?}"
    );
    session(&home, &["signal", "vm", "one", "TERM"])?.exited(4)?;
    session(&home, &["rm", "vm", "one"])?.ok()?;
    session(&home, &["show", "vm", "one"])?
        .exited(3)?
        .saying("there is no session `one`")?;

    let stubborn = "trap '' TERM; echo ready; sleep 1000 & wait; sleep 1000";
    session(
        &home,
        &["start", "vm", "--name", "two", "--", "sh", "-c", stubborn],
    )?
    .ok()?;
    written_beyond(&home, "two", 0)?;
    session(&home, &["stop", "vm", "two", "--grace", "300ms"])?.ok()?;
    ensure!(show(&home, "two")?.signal == Some(9));
    // Its end is the end of all its processes.
    let left = home.exec(
        "vm",
        &[
            "sh",
            "-c",
            "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 100[0]'",
        ],
    )?;
    ensure!(
        !backend.is_real() || left.text() == "0",
        "{} are left",
        left.text()
    );
    session(&home, &["start", "vm", "--", "sleep", "1000"])?.ok()?;
    session(&home, &["kill", "vm", "sleep"])?.ok()?;
    session(&home, &["wait", "vm", "sleep"])?.exited(137)?;
    let again = session(&home, &["start", "vm", "--", "/bin/sleep", "1000"])?;
    ensure!(again.ok()?.text() == "sleep-2");
    session(&home, &["rm", "-f", "vm", "sleep-2", "two"])?.ok()?;
    ensure!(session(&home, &["list", "vm", "-q"])?.ok()?.text() == "sleep");
    session(&home, &["list", "nobody"])?.exited(3)?;
    home.banger(["vm", "stop", "vm"])?.ok()?;
    session(&home, &["list", "vm"])?
        .exited(4)?
        .saying("not running")?;
    home.end()
}

fn preflight(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let start = |args: &[&str]| session(&home, &[&["start", "vm", "--name", "s"], args].concat());
    start(&[
        "--require-command",
        "sh",
        "--require-command",
        "nope",
        "--require-command",
        "nix",
        "--",
        "true",
    ])?
    .exited(1)?
    .saying("there is no program `nope` and no `nix`")?;
    start(&["--cwd", "/no/where", "--", "true"])?
        .exited(1)?
        .saying("there is no directory /no/where")?;
    start(&["--", "no-such-program"])?
        .exited(1)?
        .saying("there is no program `no-such-program`")?;
    start(&["-u", "no-one", "--", "true"])?
        .exited(1)?
        .saying("there is no user `no-one`")?;
    // None of them left anything that is in the way.
    start(&["--require-command", "sh", "--", "true"])?.ok()?;
    session(&home, &["wait", "vm", "s"])?.ok()?;
    home.end()
}

fn input(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(
        &home,
        &["start", "vm", "--name", "cat", "--stdin", "pipe", "--", "cat"],
    )?
    .ok()?;
    session(&home, &["send", "vm", "cat", "some", "words"])?.ok()?;
    session(&home, &["send", "vm", "cat", "--no-newline", "and"])?.ok()?;
    // More than any pipe holds, of every byte.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at * 7 % 256) as u8).collect();
    home.banger_with(
        ["vm", "session", "send", "vm", "cat", "-", "--end"],
        bytes.clone(),
    )?
    .ok()?;
    session(&home, &["wait", "vm", "cat"])?.ok()?;
    let logs = session(&home, &["logs", "vm", "cat"])?.ok()?;
    let expected = [&b"some words\nand"[..], &bytes].concat();
    ensure!(
        logs.stdout == expected,
        "{} bytes came, or others",
        logs.stdout.len()
    );
    session(&home, &["send", "vm", "cat", "late"])?
        .failed()?
        .saying("the session has ended")?;
    session(&home, &["start", "vm", "--name", "deaf", "--", "sleep", "1000"])?.ok()?;
    session(&home, &["send", "vm", "deaf", "x"])?
        .failed()?
        .saying("does not accept input")?;
    home.end()
}

fn restarts(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let args = [
        "start",
        "vm",
        "--name",
        "r",
        "--restart",
        "on-failure",
        "--max-restarts",
        "1",
        "--",
        "sh",
        "-c",
        "echo x; exit 3",
    ];
    session(&home, &args)?.ok()?;
    session(&home, &["wait", "vm", "r"])?.exited(3)?;
    let shown = show(&home, "r")?;
    ensure!(shown.restarts == 1, "{shown:?}");
    ensure!(session(&home, &["logs", "vm", "r"])?.ok()?.text() == "x\nx");
    // What is stopped stays so, also while it waits to be started again.
    let args = [
        "start",
        "vm",
        "--name",
        "s",
        "--restart",
        "on-failure",
        "--",
        "sh",
        "-c",
        "exit 4",
    ];
    session(&home, &args)?.ok()?;
    session(&home, &["stop", "vm", "s"])?.ok()?;
    session(&home, &["wait", "vm", "s"])?.exited(4)?;
    // Success is an end.
    session(
        &home,
        &[
            "start",
            "vm",
            "--name",
            "t",
            "--restart",
            "on-failure",
            "--",
            "true",
        ],
    )?
    .ok()?;
    session(&home, &["wait", "vm", "t"])?.ok()?;
    home.end()
}
