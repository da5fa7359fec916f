//! What a daemon promised to commands, and keeps when they end, are killed, or it is: VMs that go with their command, open
//! streams, starts that fail.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_cases::refused;
use banger_e2e::{Backend, Home, Image, kills};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scenario, on_the_host};

pub(crate) const SCENARIOS: &[Scenario] = &[
    on_the_host(
        "a_vm_goes_with_its_command_however_that_ends",
        goes_with_its_command,
    ),
    on_the_host("nobody_ends_the_daemon_under_a_command_unasked", open_streams),
    on_the_host("a_failed_start_of_the_daemon_says_why", a_failed_start),
    on_the_host("killed_daemons_leave_nothing_half_done", killed_daemons),
];

/// Waits until there is no VM and nothing of one, by asking: its record goes before its files. The bound is generous, for a
/// busy machine.
pub(crate) fn until_none(home: &Home) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = home.leftovers()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "what stays: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn goes_with_its_command(_: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    let nowhere = home.path().join("nowhere");
    std::fs::create_dir(&nowhere)?;
    let nowhere = nowhere.to_string_lossy().into_owned();
    let args = [
        "vm",
        "run",
        "--rm",
        "--name",
        "vm",
        "--image",
        "busybox",
        "--vmm",
        "fake",
        "--kernel",
        "debian",
        &nowhere,
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ];
    let begin = || -> Result<_> {
        let mut client = home.command(args).spawn()?;
        let mut line = [0; 3];
        std::io::Read::read_exact(client.stdout.as_mut().context("its output")?, &mut line)?;
        Ok(client)
    };
    for signal in [Signal::KILL, Signal::TERM, Signal::HUP] {
        let mut client = begin()?;
        let process = Pid::from_raw(i32::try_from(client.id())?).context("a process id")?;
        kill_process(process, signal)?;
        client.wait()?;
        until_none(&home)?;
    }
    refused("state", "remove-on-exit.client-killed");
    // The command outlives a daemon, and its VM with it; then it is killed at the next daemon, or before that comes.
    for comes_back in [true, false] {
        let mut client = begin()?;
        let process = Pid::from_raw(i32::try_from(client.id())?).context("a process id")?;
        if !comes_back {
            kill_process(process, Signal::STOP)?;
        }
        home.kill_daemon()?;
        ensure!(
            home.vm("vm")?.phase.to_string() == "running",
            "it went with the daemon"
        );
        std::thread::sleep(Duration::from_secs(2));
        ensure!(client.try_wait()?.is_none(), "the command went with the daemon");
        client.kill()?;
        client.wait()?;
        until_none(&home)?;
    }
    refused("state", "remove-on-exit.daemon-killed");
    home.end()
}

fn open_streams(backend: Backend) -> Result<()> {
    let home = Home::new(&[Image::Busybox])?;
    home.create(backend, Image::Busybox, "vm", &[])?;
    // The command line's own streams are handed over to the agent: they go on.
    let mut client = home
        .command(["vm", "exec", "vm", "--", "sh", "-c", "echo up; read line; exit 9"])
        .stdin(Stdio::piped())
        .spawn()?;
    std::io::Read::read_exact(client.stdout.as_mut().context("its output")?, &mut [0; 3])?;
    home.banger(["daemon", "stop"])?.ok()?;
    home.vm("vm")?;
    std::io::Write::write_all(client.stdin.as_mut().context("its input")?, b"\n")?;
    ensure!(client.wait()?.code() == Some(9), "the command was cut off");
    // Those of a client that takes no descriptors run through the daemon.
    let relayed = relayed_exec(&home)?;
    let daemon = home.daemon_pid()?;
    home.banger(["daemon", "stop"])?
        .exited(4)?
        .saying("banger daemon stop --force")?;
    ensure!(home.daemon_pid()? == daemon, "the daemon has gone all the same");
    home.banger(["daemon", "stop", "--force"])?.ok()?;
    drop(relayed);
    home.exec("vm", &["true"])?.ok()?;
    home.end()
}

/// A command whose stream the daemon relays: plain HTTP with an upgrade.
fn relayed_exec(home: &Home) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(home.path().join("run/bangerd.sock"))?;
    let body = r#"{"argv":["sleep","1000"]}"#;
    write!(
        stream,
        "POST /v1/vms/vm/exec HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: stdio_mux_v1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"HTTP/1.1 101", "{}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

fn a_failed_start(_: Backend) -> Result<()> {
    let home = Home::bare()?;
    home.banger(["vm", "list"])?.ok()?;
    home.banger(["daemon", "stop"])?.ok()?;
    let log = home.path().join("state/bangerd.log");
    let mut text = std::fs::read_to_string(&log)?;
    for line in 0..40 {
        text.push_str(&format!("an error of last week, {line}\n"));
    }
    std::fs::write(&log, text)?;
    let database = home.path().join("state/banger.db");
    let kept = std::fs::read(&database)?;
    for beside in ["banger.db-wal", "banger.db-shm"] {
        let _ = std::fs::remove_file(home.path().join("state").join(beside));
    }
    std::fs::write(&database, vec![b'x'; 8192])?;
    let failed = home
        .banger(["vm", "list"])?
        .failed()?
        .saying("open the database")?;
    ensure!(!failed.stderr.contains("last week"), "{}", failed.stderr);
    std::fs::write(&database, kept)?;
    home.end()
}

fn killed_daemons(_: Backend) -> Result<()> {
    let report = kills::kill_often(40, 0x5eed_ba26)?;
    ensure!(
        report.failures.is_empty(),
        "{} of {} cases:\n{}",
        report.failures.len(),
        report.cases,
        report.failures.join("\n")
    );
    Ok(())
}
