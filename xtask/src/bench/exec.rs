//! A command's round trip, beside a bare connection to the agent and the command's own fork and exec.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use banger_guest_api::{AGENT_PORT, Channel, Control, Decoder, Exec, STDIO_MUX};

use serde::Serialize;

use super::figure::{Figure, median_of};
use super::home::{Home, Under, ms};

const RUNS: usize = 100;

/// On the host's side alone: the fake guest's commands are the host's own.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Fake, "256M")?;
    let round = Round::measure(&home, "vm")?;
    let since = Instant::now();
    for _ in 0..RUNS {
        ensure!(Command::new("/bin/true").status()?.success());
    }
    let fork = ms(since.elapsed()) / RUNS as f64;
    Ok(vec![round.figure("exec.over_echo_ms", fork, true).under("fake")])
}

/// In a real guest, warm.
pub(super) fn measure_firecracker() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Firecracker, "256M")?;
    let round = Round::measure(&home, "vm")?;
    let fork = guests_fork(&home)?;
    Ok(vec![
        round.figure("exec.warm_fc_ms", fork, false).under("firecracker"),
        round.figure("exec.over_echo_ms", fork, true).under("firecracker"),
    ])
}

/// What the guest's own shell takes for a fork and exec: loops with and without, told apart.
fn guests_fork(home: &Home) -> Result<f64> {
    let count = 200;
    let looped = |body: &str| -> Result<f64> {
        let script = format!("i=0; while [ $i -lt {count} ]; do {body}; i=$((i+1)); done");
        let (took, _) = home.time(&["vm", "exec", "vm", "--", "sh", "-c", &script])?;
        Ok(ms(took))
    };
    Ok((looped("/bin/true")? - looped(":")?) / f64::from(count))
}

struct Round {
    exec: Vec<f64>,
    echo: f64,
}

impl Round {
    fn measure(home: &Home, name: &str) -> Result<Self> {
        let daemon = home.path().join("run/bangerd.sock");
        let guest = home.agent(name)?;
        let (mut exec, mut echo) = (Vec::new(), Vec::new());
        for run in 0..RUNS + 10 {
            let since = Instant::now();
            run_true(&daemon, name)?;
            let took = ms(since.elapsed());
            let since = Instant::now();
            ask_health(&guest)?;
            // The first ones warm everything.
            if run >= 10 {
                exec.push(took);
                echo.push(ms(since.elapsed()));
            }
        }
        Ok(Self {
            exec,
            echo: median_of(echo),
        })
    }

    fn figure(&self, name: &'static str, fork: f64, over_echo: bool) -> Figure {
        let less = fork + if over_echo { self.echo } else { 0.0 };
        let over: Vec<f64> = self.exec.iter().map(|exec| exec - less).collect();
        Figure::of(name, &over)
            .phase("exec, ms", median_of(self.exec.clone()))
            .phase("connect and echo, ms", self.echo)
            .phase("fork and exec, ms", fork)
    }
}

/// Connects to the agent as a VMM's client does, and asks the least there is to ask.
pub(super) fn ask_health(guest: &PathBuf) -> Result<()> {
    let mut stream = UnixStream::connect(guest)?;
    stream.write_all(format!("CONNECT {AGENT_PORT}\n").as_bytes())?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.starts_with("OK "), "{line}");
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: guest\r\n\r\n")?;
    line.clear();
    reader.read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "{line}");
    Ok(())
}

/// Runs `/bin/true` by the daemon's API, to its last frame.
fn run_true(daemon: &Path, name: &str) -> Result<()> {
    let exec = Exec {
        argv: vec!["/bin/true".to_owned()],
        ..Exec::default()
    };
    let mut reader = upgraded(daemon, &format!("/v1/vms/{name}/exec"), &exec)?;
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(frame) = decoder.next_frame()? {
            if frame.channel != Channel::Control {
                continue;
            }
            match serde_json::from_slice(frame.payload)? {
                Control::Exit { status } => {
                    ensure!(status.shell_code() == 0, "{status:?}");
                    return Ok(());
                }
                Control::Error { failure, .. } => bail!("{failure}"),
                _ => {}
            }
        }
        let read = reader.read(&mut buffer)?;
        ensure!(read > 0, "the stream ended");
        decoder.extend(&buffer[..read]);
    }
}

/// Asks the daemon for a stream; what follows is frames.
pub(super) fn upgraded(daemon: &Path, path: &str, body: &impl Serialize) -> Result<BufReader<UnixStream>> {
    let body = serde_json::to_vec(body)?;
    let mut stream = UnixStream::connect(daemon).context("failed to connect to bangerd")?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: bangerd\r\nConnection: upgrade\r\nUpgrade: {STDIO_MUX}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        ensure!(!line.starts_with("HTTP/1.1") || line.contains(" 101 "), "{line}");
        if line.trim().is_empty() {
            return Ok(reader);
        }
    }
}
