//! The host's own resolver where that is systemd-resolved: `resolvectl` tells it whom to ask for names of VMs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The program; no other place is allowed to be run.
pub(crate) const PROGRAM: &str = "/usr/bin/resolvectl";
/// What there is while systemd-resolved runs.
const RUNS: &str = "/run/systemd/resolve/io.systemd.Resolve";

/// What came of telling it.
#[derive(Debug, Default)]
pub(crate) struct Resolved(Arc<Mutex<Option<String>>>);

impl Resolved {
    /// Runs these lines, beside what else is done: no VM waits for the host's resolver, or fails with it.
    pub(crate) fn tell(&self, lines: Vec<Vec<String>>) {
        if !Path::new(RUNS).exists() {
            return;
        }
        let outcome = Arc::clone(&self.0);
        std::thread::spawn(move || {
            // Held to the end, so that it is told one thing after the other.
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            *outcome = lines.iter().find_map(|line| run(line).err());
        });
    }

    /// Why names of VMs are not found by the host, if that is known: each line ends, if only for D-Bus losing patience.
    pub(crate) fn problem(&self) -> Option<String> {
        self.0.try_lock().ok()?.clone()
    }
}

fn run(line: &[String]) -> Result<(), String> {
    let failed = |why: &str| format!("resolvectl {} failed: {why}", line.join(" "));
    let mut command = Command::new(PROGRAM);
    command.args(line).env_clear();
    let output = command.stdin(Stdio::null()).output();
    match output.map_err(|error| failed(&error.to_string()))? {
        output if output.status.success() => Ok(()),
        output => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}
