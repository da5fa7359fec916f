//! Sessions: commands that outlive their client, the daemon and the agent's server, with all that they wrote.

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use banger_api::{VmSession, VmSessionState};
use banger_e2e::{Backend, Home, Image, Output, Terminal};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Story, everywhere, in_guests};

pub(crate) const STORIES: &[Story] = &[
    everywhere("a_session_is_started_and_looked_after", each_verb),
    everywhere("a_session_is_looked_over_before_it_starts", preflight),
    everywhere("input_is_sent_to_a_session", input),
    everywhere("a_session_that_fails_is_started_again", restarts),
    everywhere("a_session_outlives_its_clients_and_the_daemon", outlives),
    in_guests("a_session_outlives_the_agents_server", outlives_the_server),
    in_guests("what_a_session_wrote_outlives_its_machine", outlives_its_machine),
    everywhere("a_client_that_does_not_read_holds_up_no_session", slow_client),
    everywhere("a_reader_of_a_session_is_told_what_is_gone", rotation),
    everywhere("the_terminal_of_a_session_is_painted_anew", painted),
    everywhere("attached_clients_outlive_the_daemon", attached_outlive),
    everywhere("one_writes_to_a_session_and_others_watch", writers),
    in_guests("an_editor_speaks_to_the_guests_coding_agent", acp),
];

/// `banger vm session …`.
fn session(home: &Home, args: &[&str]) -> Result<Output> {
    home.banger(["vm", "session"].iter().chain(args))
}

fn show(home: &Home, name: &str) -> Result<VmSession> {
    let shown = session(home, &["show", "vm", name, "--json"])?.ok()?;
    Ok(serde_json::from_slice(&shown.stdout)?)
}

/// A home with a VM.
fn home_with_vm(backend: Backend) -> Result<Home> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    Ok(home)
}

/// Starts a client that goes on, with its output for us.
fn client(home: &Home, args: &[&str]) -> Result<Child> {
    let args = ["vm", "session"].iter().chain(args);
    Ok(home.command(args).stdin(Stdio::null()).spawn()?)
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(child.id().try_into()?).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// Waits until a session has written something more.
fn written_beyond(home: &Home, name: &str, cursor: u64) -> Result<u64> {
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
        .saying("a session `one` exists already")?;
    written_beyond(&home, "one", 7)?;
    let listed = session(&home, &["list", "vm"])?.ok()?.text();
    ensure!(listed.contains("one") && listed.contains("running"), "{listed}");
    session(&home, &["rm", "vm", "one"])?
        .exited(4)?
        .saying("session `one` runs")?;
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
        shown.state == VmSessionState::Exited && shown.exit_code == Some(7),
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
        .saying("it has ended")?;
    session(&home, &["start", "vm", "--name", "deaf", "--", "sleep", "1000"])?.ok()?;
    session(&home, &["send", "vm", "deaf", "x"])?
        .failed()?
        .saying("takes no input")?;
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

/// Writes numbers to its end, one after another.
const COUNTER: &str = "i=1; while [ $i -le 200 ]; do echo line $i; i=$((i+1)); sleep 0.05; done";

/// What it has written by then.
fn counted() -> String {
    (1..=200).map(|number| format!("line {number}\n")).collect()
}

fn outlives(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(
        &home,
        &["start", "vm", "--name", "count", "--", "sh", "-c", COUNTER],
    )?
    .ok()?;
    let mut follower = client(&home, &["logs", "vm", "count", "-f"])?;
    let waiter = client(&home, &["wait", "vm", "count"])?;
    let attached = client(&home, &["attach", "vm", "count"])?;
    let seen = written_beyond(&home, "count", 50)?;
    signal(&attached, Signal::KILL)?;
    let seen = written_beyond(&home, "count", seen)?;
    let daemon = home.daemon_pid()?;
    kill_process(Pid::from_raw(daemon).context("a process id")?, Signal::KILL)?;
    written_beyond(&home, "count", seen)?;
    // Those that went on over it missed nothing.
    let mut followed = String::new();
    follower
        .stdout
        .take()
        .context("its output")?
        .read_to_string(&mut followed)?;
    ensure!(followed == counted(), "{followed}");
    ensure!(follower.wait()?.success());
    let waited = waiter.wait_with_output()?;
    ensure!(waited.status.success(), "{waited:?}");
    drop(attached.wait_with_output());
    // A cursor means the same as before.
    let all = session(&home, &["logs", "vm", "count"])?.ok()?;
    ensure!(all.stdout == counted().as_bytes());
    let since = session(&home, &["logs", "vm", "count", "--since", &seen.to_string()])?.ok()?;
    let all = counted();
    let rest = &all.as_bytes()[usize::try_from(seen)?..];
    ensure!(since.stdout == rest);
    home.end()
}

/// The process that was started as this in the guest.
fn guest_process(home: &Home, start: &str) -> Result<String> {
    let find = format!(
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^{start}' && echo ${{p#/proc/}}; done; true"
    );
    home.sh("vm", &find)
}

fn outlives_the_server(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(
        &home,
        &["start", "vm", "--name", "count", "--", "sh", "-c", COUNTER],
    )?
    .ok()?;
    session(&home, &["start", "vm", "--name", "doomed", "--", "sleep", "1000"])?.ok()?;
    let mut follower = client(&home, &["logs", "vm", "count", "-f"])?;
    let mut attached = client(&home, &["attach", "vm", "count", "--since", "0"])?;
    let seen = written_beyond(&home, "count", 20)?;
    let server = guest_process(&home, "@banger-agent serve")?;
    home.sh("vm", &format!("kill -9 {server}"))?;
    ensure!(
        guest_process(&home, "@banger-agent serve")? != server,
        "it was not killed"
    );
    // A machine that stands still for a while goes on where it was, and so does what is in it.
    let machine = home.vm("vm")?.machine.context("a machine")?;
    let machine = Pid::from_raw(machine.pid).context("a process id")?;
    kill_process(machine, Signal::STOP)?;
    std::thread::sleep(Duration::from_secs(1));
    kill_process(machine, Signal::CONT)?;
    written_beyond(&home, "count", seen)?;
    // The clients' connections were not the server's any more.
    for client in [&mut follower, &mut attached] {
        let mut came = String::new();
        client
            .stdout
            .take()
            .context("its output")?
            .read_to_string(&mut came)?;
        ensure!(came == counted(), "{came}");
        ensure!(client.wait()?.success());
    }
    // A keeper is not to be done without: its session is lost, and is said to be.
    let keeper = guest_process(&home, "@banger-session session doomed")?;
    home.sh("vm", &format!("kill -9 {keeper}"))?;
    ensure!(show(&home, "doomed")?.state == VmSessionState::Lost);
    session(&home, &["wait", "vm", "doomed"])?
        .exited(125)?
        .saying("was lost")?;
    session(&home, &["rm", "vm", "doomed"])?.ok()?;
    home.end()
}

fn outlives_its_machine(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(&home, &["start", "vm", "--name", "done", "--", "echo", "kept"])?.ok()?;
    session(&home, &["wait", "vm", "done"])?.ok()?;
    let script = "trap 'echo told; exit 0' TERM; echo begun; while :; do sleep 0.1; done";
    session(
        &home,
        &[
            "start",
            "vm",
            "--name",
            "asked",
            "--restart",
            "on-failure",
            "--",
            "sh",
            "-c",
            script,
        ],
    )?
    .ok()?;
    written_beyond(&home, "asked", 0)?;
    // A power-off asks sessions as it does others, and what they say to it is kept.
    home.banger(["vm", "restart", "vm"])?.ok()?;
    let asked = show(&home, "asked")?;
    ensure!(
        asked.state == VmSessionState::Exited && asked.exit_code == Some(0),
        "{asked:?}"
    );
    ensure!(session(&home, &["logs", "vm", "asked"])?.ok()?.text() == "begun\ntold");
    ensure!(session(&home, &["logs", "vm", "done"])?.ok()?.text() == "kept");
    // A machine that is killed leaves sessions whose end nobody saw; they are not started again.
    session(
        &home,
        &[
            "start",
            "vm",
            "--name",
            "cut",
            "--restart",
            "on-failure",
            "--",
            "sleep",
            "1000",
        ],
    )?
    .ok()?;
    home.banger(["vm", "kill", "vm"])?.ok()?;
    home.banger(["vm", "start", "vm"])?.ok()?;
    ensure!(show(&home, "cut")?.state == VmSessionState::Lost);
    session(&home, &["attach", "vm", "cut"])?
        .exited(125)?
        .saying("it was lost")?;
    // Nothing of it is in the guest's own tree.
    ensure!(home.sh("vm", "ls /sessions 2>/dev/null | wc -l")? == "0");
    home.end()
}

/// Starts a session that writes so many lines as fast as it can, once it is told to, and then to its standard error how
/// long that took.
fn flood(home: &Home, name: &str, lines: u64) -> Result<()> {
    let script = format!(
        "read go; read since rest < /proc/uptime; seq 1 {lines}; read now rest < /proc/uptime; echo $since $now >&2"
    );
    let start = [
        "start",
        "vm",
        "--name",
        name,
        "--stdin",
        "pipe",
        "--log-max",
        "1G",
        "--",
        "sh",
        "-c",
        &script,
    ];
    session(home, &start)?.ok().map(drop)
}

/// How long such a session took to write, in seconds.
fn flooded(home: &Home, name: &str) -> Result<f64> {
    session(home, &["send", "vm", name, "go"])?.ok()?;
    session(home, &["wait", "vm", name])?.ok()?;
    let said = session(home, &["logs", "vm", name, "--stream", "stderr"])?
        .ok()?
        .stderr;
    let times: Vec<f64> = said
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [since, now] = times[..] else {
        bail!("it said {said:?}");
    };
    Ok(now - since)
}

fn slow_client(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let lines: u64 = match backend {
        // 200 MB.
        Backend::Fake => 23_400_000,
        Backend::Tcg => 500_000,
        // About ten seconds.
        Backend::Firecracker => 8_000_000,
    };
    flood(&home, "alone", lines)?;
    let alone = flooded(&home, "alone")?;
    session(&home, &["rm", "vm", "alone"])?.ok()?;
    flood(&home, "flood", lines)?;
    let mut slow = client(&home, &["logs", "vm", "flood", "-f"])?;
    let since = Instant::now();
    while show(&home, "flood")?.clients == 0 {
        ensure!(since.elapsed() < Duration::from_secs(30), "it does not come");
    }
    signal(&slow, Signal::STOP)?;
    // It ends though one of its clients has read next to nothing, and as soon as if there were none.
    let watched = flooded(&home, "flood")?;
    ensure!(
        watched < alone * 1.5 + 1.0,
        "it took {watched} s, and {alone} s with nobody who watches"
    );
    let shown = show(&home, "flood")?;
    ensure!(shown.log.lost == 0 && shown.log.start == 0, "{shown:?}");
    if backend.is_real() {
        let keeper = guest_process(&home, "@banger-session session flood")?;
        let peak = home.sh("vm", &format!("grep VmHWM /proc/{keeper}/status | tr -dc 0-9"))?;
        ensure!(peak.parse::<u64>()? < 4096, "the keeper had {peak} KiB");
    }
    signal(&slow, Signal::CONT)?;
    let mut out = slow.stdout.take().context("its output")?;
    let mut came = Vec::new();
    out.read_to_end(&mut came)?;
    let slow = slow.wait_with_output()?;
    ensure!(slow.status.success());
    let expected: String = (1..=lines).map(|line| format!("{line}\n")).collect();
    ensure!(
        came == expected.as_bytes(),
        "{} of {} bytes came, or others",
        came.len(),
        expected.len()
    );
    ensure!(shown.log.end == (expected.len() + slow.stderr.len()) as u64);
    home.end()
}

fn rotation(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let start = [
        "start",
        "vm",
        "--name",
        "much",
        "--log-max",
        "256K",
        "--",
        "seq",
        "1",
        "200000",
    ];
    session(&home, &start)?.ok()?;
    session(&home, &["wait", "vm", "much"])?.ok()?;
    let expected: String = (1..=200_000).map(|line| format!("{line}\n")).collect();
    let log = show(&home, "much")?.log;
    let kept = usize::try_from(log.end - log.start)?;
    ensure!(
        log.end == expected.len() as u64 && (128 << 10..256 << 10).contains(&kept),
        "{log:?}"
    );
    let logs = session(&home, &["logs", "vm", "much"])?.ok()?.saying(&format!(
        "{} bytes of output from cursor 0 on are gone",
        log.start
    ))?;
    ensure!(logs.stdout == expected.as_bytes()[expected.len() - kept..]);
    // Whoever is not too late is told of no gap.
    let late = log.end - 100;
    let rest = session(&home, &["logs", "vm", "much", "--since", &late.to_string()])?.ok()?;
    ensure!(
        rest.stdout == expected.as_bytes()[expected.len() - 100..] && rest.stderr.is_empty(),
        "{rest:?}"
    );
    session(&home, &["start", "vm", "--log-max", "1K", "--", "true"])?.failed()?;
    home.end()
}

fn attach(home: &Home, more: &[&str], rows: u16, cols: u16) -> Result<Terminal> {
    let args = ["vm", "session", "attach", "vm", "vi"].iter().chain(more);
    Terminal::start(home.command(args), rows, cols)
}

fn painted(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(
        &home,
        &[
            "start",
            "vm",
            "--name",
            "vi",
            "-t",
            "--",
            "busybox",
            "vi",
            "/tmp/banger-story-of-vi",
        ],
    )?
    .ok()?;
    let mut first = attach(&home, &[], 20, 70)?;
    first.expect("~")?;
    first.write("ihello there\x1b")?;
    first.expect("hello there")?;
    // Leaving is no end.
    first.write("\x1d")?;
    first.expect("left; it runs on")?;
    ensure!(first.end()? == 0);
    ensure!(show(&home, "vi")?.state == VmSessionState::Running);
    // It is all there again, for who comes with the same size, before vi has drawn anything.
    let mut second = attach(&home, &["--read-only"], 20, 70)?;
    second.expect("hello there")?;
    second.expect("~")?;
    drop(second);
    // One with another size gets what fits.
    let mut third = attach(&home, &[], 10, 40)?;
    third.expect("hello there")?;
    third.write(":q!\r")?;
    ensure!(third.end()? == 0);
    session(&home, &["wait", "vm", "vi"])?.ok()?;
    home.end()
}

fn kill_the_daemon(home: &Home) -> Result<()> {
    let daemon = Pid::from_raw(home.daemon_pid()?).context("a process id")?;
    Ok(kill_process(daemon, Signal::KILL)?)
}

/// Who is attached goes on with the next daemon, by itself: without a terminal where it was, on one with its screen.
fn attached_outlive(backend: Backend) -> Result<()> {
    const AGAIN: &str = "note: the connection was lost; attaching again";
    let home = home_with_vm(backend)?;
    // Lines come and go both ways.
    let start = ["start", "vm", "--name", "cat", "--stdin", "pipe", "--", "cat"];
    session(&home, &start)?.ok()?;
    let args = ["vm", "session", "attach", "vm", "cat", "--since", "0"];
    let mut cat = home.command(args).stdin(Stdio::piped()).spawn()?;
    let mut to_cat = cat.stdin.take().context("its input")?;
    writeln!(to_cat, "before")?;
    written_beyond(&home, "cat", 6)?;
    session(
        &home,
        &["start", "vm", "--name", "count", "--", "sh", "-c", COUNTER],
    )?
    .ok()?;
    let counting = client(&home, &["attach", "vm", "count", "--since", "0"])?;
    session(
        &home,
        &[
            "start",
            "vm",
            "--name",
            "vi",
            "-t",
            "--",
            "busybox",
            "vi",
            "/tmp/banger-story-of-it",
        ],
    )?
    .ok()?;
    let mut vi = attach(&home, &[], 20, 70)?;
    vi.expect("~")?;
    vi.write("ihello there\x1b")?;
    vi.expect("hello there")?;
    let mut seen = 0;
    for _ in 0..2 {
        seen = written_beyond(&home, "count", seen + 50)?;
        kill_the_daemon(&home)?;
        vi.expect(AGAIN)?;
        vi.expect("hello there")?;
    }
    // It types as before, and leaves as before.
    vi.write("A, again\x1b")?;
    vi.expect(", again")?;
    vi.write("\x1d")?;
    vi.expect("left; it runs on")?;
    ensure!(vi.end()? == 0);
    let counting = counting.wait_with_output()?;
    ensure!(counting.status.success(), "{counting:?}");
    ensure!(counting.stdout == counted().as_bytes(), "{counting:?}");
    let words = String::from_utf8(counting.stderr)?;
    ensure!(words.matches(AGAIN).count() == 2, "{words}");
    writeln!(to_cat, "after")?;
    written_beyond(&home, "cat", 12)?;
    session(&home, &["stop", "vm", "cat"])?.ok()?;
    let cat = cat.wait_with_output()?;
    ensure!(cat.stdout == b"before\nafter\n", "{cat:?}");
    // One whose session is gone when the next daemon comes is told so.
    let mut waiting = attach(&home, &[], 20, 70)?;
    waiting.expect("hello there")?;
    home.banger(["vm", "kill", "vm"])?.ok()?;
    waiting.expect("not running")?;
    ensure!(waiting.end()? != 0);
    home.end()
}

fn writers(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    session(&home, &["start", "vm", "--name", "vi", "-t", "--", "sh"])?.ok()?;
    let mut first = attach(&home, &[], 24, 80)?;
    first.write("echo fir''st\r")?;
    first.expect("first")?;
    let refused = attach(&home, &[], 24, 80)?;
    ensure!(refused.end()? == 125);
    session(&home, &["attach", "vm", "vi"])?
        .exited(125)?
        .saying("another client writes to it")?;
    session(&home, &["send", "vm", "vi", "x"])?
        .failed()?
        .saying("another client writes to it")?;
    let mut watcher = attach(&home, &["--read-only"], 24, 80)?;
    watcher.expect("first")?;
    watcher.write("echo not''hing\r")?;
    first.write("echo mo''re\r")?;
    watcher.expect("more")?;
    // One who takes it sends the other away.
    let mut second = attach(&home, &["--take", "--detach-key", "ctrl-p,ctrl-q"], 24, 80)?;
    first.expect("another client writes in the place of this one")?;
    ensure!(first.end()? == 125);
    second.write("echo sec''ond\r")?;
    watcher.expect("second")?;
    second.write("\x10\x11")?;
    ensure!(second.end()? == 0);
    let mut one = attach(&home, &["--shared"], 24, 80)?;
    let mut other = attach(&home, &["--shared"], 24, 80)?;
    one.write("echo sha''red\r")?;
    other.expect("shared")?;
    other.write("exit 5\r")?;
    ensure!(one.end()? == 5 && other.end()? == 5 && watcher.end()? == 5);
    let logs = session(&home, &["logs", "vm", "vi"])?.ok()?.text();
    ensure!(!logs.contains("nothing"), "one who watches wrote: {logs}");
    home.end()
}

fn acp(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    home.banger(["vm", "acp", "vm"])?
        .exited(127)?
        .saying("there is no program `opencode`")?
        .saying("install opencode in the guest")?;
    let agent = "mkdir -p /usr/local/bin; printf '#!/bin/sh\\npwd\\necho \"$@\"\\ncat\\n' > /usr/local/bin/opencode; chmod +x /usr/local/bin/opencode";
    home.sh("vm", agent)?;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let expected = |dir: &str| [format!("{dir}\nacp\n").as_bytes(), &bytes].concat();
    let output = home.banger_with(["vm", "acp", "vm"], bytes.clone())?.ok()?;
    ensure!(output.stdout == expected("/root"), "{}", output.stdout.len());
    home.sh("vm", "mkdir -p /root/repo /srv")?;
    let output = home.banger_with(["vm", "acp", "vm"], bytes.clone())?.ok()?;
    ensure!(output.stdout == expected("/root/repo"));
    let output = home
        .banger_with(["vm", "acp", "vm", "--cwd", "/srv"], bytes.clone())?
        .ok()?;
    ensure!(output.stdout == expected("/srv"));
    home.end()
}
