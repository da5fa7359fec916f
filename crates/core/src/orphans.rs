//! Processes that work in a machine's directory but that no record names.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills every process of ours that works in `dir` or below: a machine's do from their start. What only names a file there, such
/// as an editor of a log, is nobody's machine.
pub(crate) fn end_all_in(dir: &Path) {
    // What works in it has it by its real name.
    let (Ok(entries), Ok(dir)) = (std::fs::read_dir("/proc"), dir.canonicalize()) else {
        return;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| u32::try_from(pid) != Ok(std::process::id()));
    for pid in pids {
        if let Some(process) = working_in(pid, &dir) {
            tracing::warn!(pid, dir = %dir.display(), "ending an unrecorded VMM process");
            // It may end by itself in this instant; then there is nothing to do.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// A handle on the process if it works in `dir`. The handle is taken first, so that what is looked at cannot be
/// another process of the same number.
fn working_in(pid: i32, dir: &Path) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    cwd.starts_with(dir).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_processes_in_the_directory_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let sleep = |cwd: &Path| {
            let mut command = Command::new("sleep");
            command
                .arg("60")
                .current_dir(cwd)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let (mut inside, mut outside) = (sleep(dir.path()), sleep(other.path()));
        let log = dir.path().join("console.log");
        std::fs::write(&log, "").unwrap();
        let mut reader = Command::new("tail");
        let mut reader = reader.arg("-f").arg(&log).current_dir("/").spawn().unwrap();
        // By another name of the same place.
        let linked = other.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &linked).unwrap();
        end_all_in(&linked);
        assert!(reader.try_wait().unwrap().is_none());
        banger_cases::refused("state", "orphans.a-reader-of-a-log");
        reader.kill().unwrap();
        reader.wait().unwrap();
        assert!(!inside.wait().unwrap().success());
        assert!(outside.try_wait().unwrap().is_none());
        outside.kill().unwrap();
        outside.wait().unwrap();
    }
}
