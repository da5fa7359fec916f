//! Processes that work in a machine's directory but that no record names.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills every process of ours whose working directory is `dir`, or that was given a path in it. Such a directory
/// has a VM's random id in its name, so nothing else works there by chance.
pub(crate) fn end_all_in(dir: &Path) {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| u32::try_from(pid) != Ok(std::process::id()));
    for pid in pids {
        if let Some(process) = working_in(pid, dir) {
            tracing::warn!(pid, dir = %dir.display(), "ending a process that no record names");
            // It may end by itself in this instant; then there is nothing to do.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// A handle on the process if it works in `dir`. The handle is taken first, so that what is looked at cannot be
/// another process of the same number.
fn working_in(pid: i32, dir: &Path) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let cwd = std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == dir);
    let given = || {
        let line = std::fs::read(proc.join("cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|arg| names_path_in(arg, dir))
    };
    (cwd || given()).then_some(process)
}

/// Whether an argument is, or ends in, a path below `dir`: `path`, `--option=path`, `unix:path,server`.
fn names_path_in(arg: &[u8], dir: &Path) -> bool {
    let needle = dir.as_os_str().as_bytes();
    arg.windows(needle.len())
        .any(|window| OsStr::from_bytes(window) == dir.as_os_str())
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
        end_all_in(dir.path());
        assert!(!inside.wait().unwrap().success());
        assert!(outside.try_wait().unwrap().is_none());
        outside.kill().unwrap();
        outside.wait().unwrap();
    }
}
