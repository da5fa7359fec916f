//! A guest's clock beside the host's, under QEMU without KVM: there the guest counts what QEMU counts for it.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::figure::Figure;
use super::home::{Home, Under};

/// How long a guest's seconds are compared with the host's.
const LONG: Duration = Duration::from_secs(20);
const RUNS: usize = 3;

/// How often a guest is asked at each end. What took least says best when it was answered.
const ASKED: usize = 25;

/// Answers each line with the seconds since the guest's kernel started, and forks for none.
const ANSWER: &str = "while read -r line; do read -r up idle < /proc/uptime; echo \"$up\"; done";

/// The guest's monotonic seconds for each of the host's.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let home = Home::with_vm(Under::Emulation, "256M")?;
    let command = ["vm", "exec", "-T", "vm", "--", "sh", "-c", ANSWER];
    let mut answering = home
        .command(&command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut to = answering.stdin.take().context("its input")?;
    let mut from = BufReader::new(answering.stdout.take().context("its output")?);
    let (mut ratios, mut unsure) = (Vec::new(), 0.0_f64);
    for _ in 0..RUNS {
        let began = ask(&mut to, &mut from)?;
        std::thread::sleep(LONG);
        let ended = ask(&mut to, &mut from)?;
        let host = ended.at.duration_since(began.at).as_secs_f64();
        ratios.push((ended.uptime - began.uptime) / host);
        // A half of each asking, and the hundredths that an uptime has, may be here or there.
        unsure = unsure.max(((began.took + ended.took).as_secs_f64() / 2.0 + 0.01) / host);
    }
    drop(to);
    ensure!(answering.wait()?.success(), "the guest did not answer to the end");
    Ok(vec![
        Figure::of("clock.qemu_ratio", &ratios)
            .under(Under::Emulation.name())
            .phase("unsure by at most", unsure)
            .phase("each over, s", LONG.as_secs_f64()),
    ])
}

/// An uptime, and when it was that.
struct Asked {
    uptime: f64,
    at: Instant,
    took: Duration,
}

fn ask(to: &mut ChildStdin, from: &mut BufReader<ChildStdout>) -> Result<Asked> {
    let mut best: Option<Asked> = None;
    for _ in 0..ASKED {
        let before = Instant::now();
        to.write_all(b"\n")?;
        let mut line = String::new();
        from.read_line(&mut line)?;
        let took = before.elapsed();
        let asked = Asked {
            uptime: line
                .trim()
                .parse()
                .with_context(|| format!("no uptime: {line}"))?,
            at: before + took / 2,
            took,
        };
        if best.as_ref().is_none_or(|best| asked.took < best.took) {
            best = Some(asked);
        }
    }
    best.context("nothing was asked")
}
