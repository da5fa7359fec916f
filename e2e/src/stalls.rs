//! The one fault of others that a scenario is repeated for: vhost-device-vsock 0.3, QEMU's vsock device, stalls or dies.
//!
//! With two such guests at once on 2 CPUs, 30 MB through `cat` stalled in one of 40 guests and in one of 24, with the code of
//! this and of an earlier state; never with Firecracker, and a larger buffer of the device does not help. It panics, too, when
//! a client is gone before the guest has answered it, as a daemon that is killed.
//! What it misses at boot is seen to by the daemon (`Machine::rouse`).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::place;

/// How many scenarios of a run may be repeated.
pub const AT_MOST: usize = 3;

/// The variable that says which processes are of one run; nextest has its own.
pub const RUN: &str = "BANGER_TEST_RUN";
const NEXTEST_RUN: &str = "NEXTEST_RUN_ID";

/// How the daemon reports it.
const REPORTED: &str = "failed to reach port 1024 of the guest\n  caused by: timed out";

/// How long the agent may take to accept a connection, on two cores that emulate two guests.
const ANSWER: Duration = Duration::from_secs(15);

/// The device of a machine in this home that does not do its work, though QEMU runs.
pub(crate) fn device_of(home: &Path) -> Option<String> {
    let machines = std::fs::read_dir(home.join("run/m"))
        .into_iter()
        .flatten()
        .flatten();
    machines
        .map(|entry| entry.path())
        .find_map(|machine| fault(&machine))
}

fn fault(machine: &Path) -> Option<String> {
    // Only QEMU has a monitor, and it takes connections as long as it runs.
    UnixStream::connect(machine.join("qmp.sock")).ok()?;
    let id = machine.file_name().unwrap_or_default().to_string_lossy();
    match answers(&machine.join("vsock.sock")) {
        Ok(()) => None,
        // Nothing in the guest listens.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::TimedOut => {
            Some(format!(
                "the vsock device of {id} did not answer in {} s",
                ANSWER.as_secs()
            ))
        }
        Err(error) => Some(format!("the vsock device of {id} has ended: {error}")),
    }
}

fn answers(socket: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"CONNECT 1024\n")?;
    stream.read_exact(&mut [0])
}

/// Whether an error is what the daemon says when the device stalls.
pub fn is_reported(error: &str) -> bool {
    error.contains(REPORTED)
}

/// Where the repetitions of a run are counted.
fn record(shared: &Path, run: &str) -> PathBuf {
    let plain: String = run
        .chars()
        .filter(|char| char.is_ascii_alphanumeric() || *char == '-')
        .collect();
    shared.join("repeated").join(plain)
}

fn this_run() -> String {
    let named = |name| std::env::var(name).ok().filter(|run| !run.is_empty());
    named(RUN)
        .or_else(|| named(NEXTEST_RUN))
        .unwrap_or_else(|| format!("pid-{}", std::process::id()))
}

/// Asks to repeat a scenario because of `why`. There are [`AT_MOST`] repetitions in a run, over all of its processes.
///
/// # Errors
/// When they cannot be counted.
pub fn repeat(name: &str, why: &str) -> Result<bool> {
    repeat_in(&record(&place::shared()?, &this_run()), name, why)
}

fn repeat_in(record: &Path, name: &str, why: &str) -> Result<bool> {
    let dir = record.parent().context("a directory of records")?;
    std::fs::create_dir_all(dir)?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(record)?;
    flock(&file, FlockOperation::LockExclusive)?;
    let mut before = String::new();
    file.read_to_string(&mut before)?;
    let why = why.lines().next().unwrap_or_default();
    // One that is refused counts, too: it is reported at the end.
    file.write_all(format!("{name}: {why}\n").as_bytes())?;
    Ok(before.lines().count() < AT_MOST)
}

/// What this run asked to repeat so far, a line each.
///
/// # Errors
/// When there is no directory of built programs.
pub fn repeated() -> Result<Vec<String>> {
    Ok(repeated_in(&place::shared()?, &this_run()))
}

/// What a run asked to repeat, whose scenarios share what is in `shared`.
pub fn repeated_in(shared: &Path, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(record(shared, run)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A machine of QEMU's, whose device does `answer` with what it is asked.
    fn machine(answer: fn(UnixStream)) -> (tempfile::TempDir, PathBuf, UnixListener) {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("run/m/ID");
        std::fs::create_dir_all(&machine).unwrap();
        let monitor = UnixListener::bind(machine.join("qmp.sock")).unwrap();
        let device = UnixListener::bind(machine.join("vsock.sock")).unwrap();
        std::thread::spawn(move || device.accept().map(|(stream, _)| answer(stream)));
        (dir, machine, monitor)
    }

    #[test]
    fn a_device_that_works_is_no_fault() {
        let (home, _, _monitor) = machine(|mut stream| {
            // Whoever hangs up before it has read what it was asked breaks the pipe of the one who asks.
            let asked = stream.read(&mut [0; 64]).unwrap();
            assert_ne!(asked, 0);
            stream.write_all(b"OK 5\n").unwrap();
        });
        assert_eq!(device_of(home.path()), None);
        // An agent that is gone is a fault of ours.
        let (home, _, _monitor) = machine(|mut stream| drop(stream.read(&mut [0; 64])));
        assert_eq!(device_of(home.path()), None);
    }

    #[test]
    fn a_device_that_ended_is_a_fault_while_qemu_runs() {
        let (home, machine, monitor) = machine(drop);
        std::fs::remove_file(machine.join("vsock.sock")).unwrap();
        drop(UnixListener::bind(machine.join("vsock.sock")).unwrap());
        assert!(device_of(home.path()).unwrap().contains("has ended"));
        drop(monitor);
        assert_eq!(device_of(home.path()), None);
    }

    #[test]
    fn a_run_repeats_three_scenarios() {
        let dir = tempfile::tempdir().unwrap();
        let record = record(dir.path(), "a-run/..");
        assert_eq!(record, dir.path().join("repeated/a-run"));
        let asked: Vec<bool> = (0..5)
            .map(|number| repeat_in(&record, &format!("tcg::{number}"), "it stalled\nfor long").unwrap())
            .collect();
        assert_eq!(asked, [true, true, true, false, false]);
        let lines = std::fs::read_to_string(&record).unwrap();
        assert!(lines.starts_with("tcg::0: it stalled\n") && lines.lines().count() == 5);
    }

    #[test]
    fn only_the_agents_port_is_the_signature() {
        assert!(is_reported(
            "x\n  caused by: failed to reach port 1024 of the guest\n  caused by: timed out"
        ));
        assert!(!is_reported(
            "failed to reach port 80 of the guest\n  caused by: timed out"
        ));
        assert!(!is_reported("`banger vm exec` hung and was killed"));
    }
}
