//! Sessions: how long attaching to one takes, and what a hundred of them cost the guest's agent.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use banger_guest_api::{Channel, Decoder, SessionOutput, SessionStream};

use super::exec::{ask_health, upgraded};
use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms};

const RUNS: usize = 100;

/// How often a session writes all it can, with and without a client.
const FLOODS: usize = 3;

/// Sessions that are kept, and what each has written.
const SESSIONS: usize = 100;
const WRITES: &str = "busybox dd if=/dev/zero bs=65536 count=160 2>/dev/null; exec sleep 100000";
const WRITTEN: u64 = 160 << 16;

/// On the host's side alone.
pub(super) fn measure_attach() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Fake, "256M")?;
    Ok(vec![attach(&home)?.under("fake")])
}

/// In a real guest, warm.
pub(super) fn measure_attach_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "256M")?;
    Ok(vec![attach(&home)?.under("firecracker")])
}

/// From the client's connection to the first byte of the painted screen.
fn attach(home: &Home) -> Result<Figure> {
    home.banger(&[
        "vm", "session", "start", "vm", "--name", "shell", "-t", "--", "sh",
    ])?;
    home.banger(&["vm", "session", "send", "vm", "shell", "echo here"])?;
    let daemon = home.path().join("run/bangerd.sock");
    let guest = home.agent("vm")?;
    let (mut attached, mut echoed) = (Vec::new(), Vec::new());
    for run in 0..RUNS + 10 {
        let since = Instant::now();
        first_byte(&daemon)?;
        let took = ms(since.elapsed());
        let since = Instant::now();
        ask_health(&guest)?;
        // The first ones warm everything.
        if run >= 10 {
            attached.push(took);
            echoed.push(ms(since.elapsed()));
        }
    }
    Ok(Figure::of("session.attach_ms", &attached)
        .phase("connect to the agent and echo, ms", median_of(echoed)))
}

fn first_byte(daemon: &Path) -> Result<()> {
    let stream = SessionStream {
        output: SessionOutput::Live,
        ..SessionStream::default()
    };
    let mut reader = upgraded(daemon, "/v1/vms/vm/sessions/shell/stream", &stream)?;
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(frame) = decoder.next_frame()? {
            if frame.channel == Channel::Stdout {
                return Ok(());
            }
        }
        let read = reader.read(&mut buffer)?;
        ensure!(read > 0, "the stream ended");
        decoder.extend(&buffer[..read]);
    }
}

/// On the host's side alone.
pub(super) fn measure_flood() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Fake, "256M")?;
    Ok(vec![flood(&home, 20_000_000)?.under("fake")])
}

/// In a real guest, whose disk is written to.
pub(super) fn measure_flood_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "1G")?;
    Ok(vec![flood(&home, 20_000_000)?.under("firecracker")])
}

/// How long a session takes to write so many lines with a client that reads next to nothing, against nobody who watches.
fn flood(home: &Home, lines: u64) -> Result<Figure> {
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        alone.push(written(home, lines, false)?);
        watched.push(written(home, lines, true)?);
    }
    let ratios: Vec<f64> = watched
        .iter()
        .zip(&alone)
        .map(|(watched, alone)| watched / alone)
        .collect();
    Ok(Figure::of("session.flood_watched_ratio", &ratios)
        .phase("with a client that does not read, s", median_of(watched))
        .phase("with none, s", median_of(alone)))
}

/// How long it takes by the guest's clock, in seconds.
fn written(home: &Home, lines: u64, is_watched: bool) -> Result<f64> {
    let script = format!(
        "read go; read since rest < /proc/uptime; busybox seq 1 {lines}; read now rest < /proc/uptime; echo $since $now >&2"
    );
    home.banger(&[
        "vm",
        "session",
        "start",
        "vm",
        "--name",
        "flood",
        "--stdin",
        "pipe",
        "--log-max",
        "1G",
        "--",
        "sh",
        "-c",
        &script,
    ])?;
    let watcher = is_watched.then(|| {
        let mut logs = home.command(&["vm", "session", "logs", "vm", "flood", "-f"]);
        // What it is sent fills the pipe, and then it waits.
        logs.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    });
    let watcher = watcher.transpose()?;
    while is_watched && clients(home)? == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    home.banger(&["vm", "session", "send", "vm", "flood", "go"])?;
    home.banger(&["vm", "session", "wait", "vm", "flood"])?;
    if let Some(mut watcher) = watcher {
        watcher.kill()?;
        watcher.wait()?;
    }
    let said = home.banger(&["vm", "session", "logs", "vm", "flood", "--stream", "stderr"])?;
    home.banger(&["vm", "session", "rm", "vm", "flood"])?;
    let said = String::from_utf8(said.stderr)?;
    let times: Vec<f64> = said
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [since, now] = times[..] else {
        bail!("unexpected output: {said:?}");
    };
    Ok(now - since)
}

fn clients(home: &Home) -> Result<u64> {
    let listed = home.banger(&["vm", "session", "list", "vm", "--json"])?;
    let sessions: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    let flood = sessions.as_array().and_then(|sessions| sessions.first());
    Ok(flood
        .and_then(|session| session["clients"].as_u64())
        .unwrap_or_default())
}

/// In Firecracker's guest.
pub(super) fn measure_memory_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "1G")?;
    Ok(vec![memory(&home)?.under("firecracker")])
}

/// In QEMU's, under emulation: memory is the same.
pub(super) fn measure_memory_emulated() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Emulation, "1G")?;
    Ok(vec![memory(&home)?.under("tcg")])
}

/// The proportional set size (proc(5)) of all processes of the agent, with a hundred sessions that have all written.
fn memory(home: &Home) -> Result<Figure> {
    for number in 0..SESSIONS {
        let name = format!("s{number}");
        home.banger(&[
            "vm", "session", "start", "vm", "--name", &name, "--", "sh", "-c", WRITES,
        ])?;
    }
    loop {
        let listed = home.banger(&["vm", "session", "list", "vm", "--json"])?;
        let sessions: Vec<banger_api::VmSession> = serde_json::from_slice(&listed.stdout)?;
        ensure!(sessions.len() == SESSIONS && sessions.iter().all(|session| session.state.is_live()));
        if sessions.iter().all(|session| session.log.end == WRITTEN) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    // PID 1 is the agent's too: it stays as the init of an image that has none.
    let script = "for p in /proc/[0-9]*; do read -r name < $p/cmdline; case $name in @banger-*|/banger/agent*) \
                  echo ${name%%[!@/a-z-]*}; busybox grep ^Pss: $p/smaps_rollup;; esac; done 2>/dev/null; true";
    let output = home.banger(&["vm", "exec", "vm", "--", "sh", "-c", script])?;
    let said = String::from_utf8(output.stdout)?;
    let kib: Vec<f64> = said
        .lines()
        .filter_map(|line| {
            line.strip_prefix("Pss:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .collect();
    ensure!(kib.len() > SESSIONS, "{} processes were found: {said}", kib.len());
    let mib = kib.iter().sum::<f64>() / 1024.0;
    Ok(Figure::of("session.agent_100_mib", &[mib])
        .phase("processes", kib.len() as f64)
        .phase("largest, MiB", kib.iter().copied().fold(0.0, f64::max) / 1024.0))
}
