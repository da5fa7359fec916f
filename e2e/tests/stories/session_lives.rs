//! Sessions outlive their clients, the daemon, the agent's server and, with what they wrote, their machine.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banger_api::stream::SessionState;
use banger_e2e::Backend;
use rustix::process::{Pid, Signal, kill_process};

use crate::session_clients::{attach, edit};
use crate::sessions::{client, guest_process, home_with_vm, session, show, signal, written_beyond};
use crate::{Scenario, everywhere, in_guests};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_session_outlives_its_clients_and_the_daemon", outlives),
    everywhere("attached_clients_outlive_the_daemon", attached_outlive),
    in_guests("a_session_outlives_the_agents_server", outlives_the_server),
    in_guests("what_a_session_wrote_outlives_its_machine", outlives_its_machine),
];

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
    ensure!(show(&home, "doomed")?.state == SessionState::Lost);
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
        asked.state == SessionState::Exited && asked.exit_code == Some(0),
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
    ensure!(show(&home, "cut")?.state == SessionState::Lost);
    session(&home, &["attach", "vm", "cut"])?
        .exited(125)?
        .saying("was lost")?;
    // Nothing of it is in the guest's own tree.
    ensure!(home.sh("vm", "ls /sessions 2>/dev/null | wc -l")? == "0");
    home.end()
}

/// Who is attached has a connection to the guest of its own: it does not notice that the daemon is killed.
fn attached_outlive(backend: Backend) -> Result<()> {
    const AGAIN: &str = "note: connection lost; attaching again";
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
    let mut vi = edit(&home)?;
    let mut seen = 0;
    for _ in 0..2 {
        seen = written_beyond(&home, "count", seen + 50)?;
        home.kill_daemon()?;
    }
    // It types as before, and leaves as before.
    vi.write("A, again\x1b")?;
    vi.expect(", again")?;
    vi.write("\x1d")?;
    vi.expect("detached; the session keeps running")?;
    ensure!(vi.end()? == 0);
    let counting = counting.wait_with_output()?;
    ensure!(counting.status.success(), "{counting:?}");
    ensure!(counting.stdout == counted().as_bytes(), "{counting:?}");
    let words = String::from_utf8(counting.stderr)?;
    ensure!(!words.contains(AGAIN), "{words}");
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
