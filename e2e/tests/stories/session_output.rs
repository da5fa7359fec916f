//! What sessions wrote: nothing waits for a reader, and a reader is told what is gone.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banger_e2e::{Backend, Home};
use rustix::process::Signal;

use crate::sessions::{client, guest_process, home_with_vm, session, show, signal};
use crate::{Scenario, everywhere};

pub(crate) const SCENARIOS: &[Scenario] = &[
    everywhere("a_client_that_does_not_read_holds_up_no_session", slow_client),
    everywhere("a_reader_of_a_session_is_told_what_is_gone", rotation),
];

/// Starts a session that writes so many lines as fast as it can, once it is told to. How much faster it would be with
/// nobody who watches, `make bench` measures.
fn flood(home: &Home, name: &str, lines: u64) -> Result<()> {
    let script = format!("read go; exec seq 1 {lines}");
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

fn slow_client(backend: Backend) -> Result<()> {
    let home = home_with_vm(backend)?;
    let lines: u64 = match backend {
        // 200 MB.
        Backend::Fake => 23_400_000,
        Backend::Tcg => 500_000,
        // About ten seconds.
        Backend::Firecracker => 40_000_000,
    };
    flood(&home, "flood", lines)?;
    let mut slow = client(&home, &["logs", "vm", "flood", "-f"])?;
    let since = Instant::now();
    while show(&home, "flood")?.clients == 0 {
        ensure!(since.elapsed() < Duration::from_secs(30), "it does not come");
    }
    signal(&slow, Signal::STOP)?;
    // It ends though one of its clients has read next to nothing.
    session(&home, &["send", "vm", "flood", "go"])?.ok()?;
    session(&home, &["wait", "vm", "flood"])?.ok()?;
    let shown = show(&home, "flood")?;
    ensure!(shown.log.lost == 0 && shown.log.start == 0, "{shown:?}");
    if backend.is_real() {
        let keeper = guest_process(&home, "@banger-session session flood")?;
        let peak = home.sh("vm", &format!("grep VmHWM /proc/{keeper}/status | tr -dc 0-9"))?;
        ensure!(peak.parse::<u64>()? < 4096, "the keeper had {peak} KiB");
    }
    signal(&slow, Signal::CONT)?;
    let came = slow.stdout.take().context("its output")?;
    let compared = Command::new("sh")
        .args(["-c", &format!("{{ seq 1 {lines} | cmp - /dev/fd/3; }} 3<&0")])
        .stdin(came)
        .output()?;
    ensure!(compared.status.success(), "{compared:?}");
    ensure!(slow.wait()?.success());
    ensure!(shown.log.end == bytes_of_seq(lines), "{shown:?}");
    home.end()
}

/// How much `seq 1 LINES` writes.
fn bytes_of_seq(lines: u64) -> u64 {
    let powers = (0..)
        .map(|power| 10_u64.pow(power))
        .take_while(|first| *first <= lines);
    // Each number has a line feed, and a digit for each power of ten up to it.
    lines + powers.map(|first| lines - first + 1).sum::<u64>()
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
        "{} bytes of output from cursor 0 are missing",
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
