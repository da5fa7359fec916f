//! Processes that a daemon started and that outlived it, found by the directory of its own that they work in.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long an end is waited for. A process that was killed ends with the system call that it is in.
const ENDING: Duration = Duration::from_secs(5);

/// Kills every process of ours whose working directory is `dir` or below, as that of each machine is from its start, and waits
/// until it has ended: what it was about to write in `dir` is there or never comes. A process that only names a file in `dir`,
/// such as an editor of a log, is left alone.
pub fn end_all_in(dir: &Path) {
    end(dir, works_in);
}

/// The same, and every process whose environment names `dir` or something in it, as that of git does for an index or objects.
pub fn end_all_using(dir: &Path) {
    end(dir, |pid, dir| works_in(pid, dir) || was_given(pid, dir));
}

fn end(dir: &Path, is_meant: impl Fn(i32, &Path) -> bool) {
    // What works in it has it by its real name.
    let Ok(real) = dir.canonicalize() else { return };
    let until = Instant::now() + ENDING;
    // Before its end, one may have started another that was not seen.
    loop {
        let killed = kill(|pid| is_meant(pid, &real));
        if killed.is_empty() || Instant::now() >= until {
            return;
        }
        tracing::warn!(count = killed.len(), dir = %dir.display(), "ended processes that an earlier daemon left");
        for process in killed {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or_default(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left));
        }
    }
}

/// Kills these processes. Each may end by itself in this instant; then there is nothing to do.
fn kill(is_meant: impl Fn(i32) -> bool) -> Vec<OwnedFd> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| u32::try_from(pid) != Ok(std::process::id()))
        .filter_map(|pid| {
            // The handle is taken first, so that what is looked at cannot be another process of the same number.
            let process = handle(pid)?;
            (is_meant(pid) && pidfd_send_signal(&process, Signal::KILL).is_ok()).then_some(process)
        })
        .collect()
}

fn handle(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

fn works_in(pid: i32, dir: &Path) -> bool {
    // The kernel marks the name of a directory that was removed, and leaves the rest of it.
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
}

fn was_given(pid: i32, dir: &Path) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let values = environment.split(|byte| *byte == 0).filter_map(|variable| {
        let equals = variable.iter().position(|byte| *byte == b'=')?;
        Some(Path::new(std::ffi::OsStr::from_bytes(&variable[equals + 1..])))
    });
    values.into_iter().any(|value| value.starts_with(dir))
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

    #[test]
    fn a_process_that_was_given_a_path_is_ended_before_the_directory_goes() {
        let dir = tempfile::tempdir().unwrap();
        let start = |name: &str, value: &Path| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "while :; do mkdir -p \"$GIVEN/more\"; done"]);
            command.env("GIVEN", value.join("index")).env(name, value);
            command.current_dir("/").spawn().unwrap()
        };
        let other = tempfile::tempdir().unwrap();
        let (mut inside, mut outside) = (start("A", dir.path()), start("A", other.path()));
        while !dir.path().join("index/more").exists() {
            std::thread::yield_now();
        }
        end_all_using(dir.path());
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(!dir.path().exists());
        assert!(inside.try_wait().unwrap().is_some(), "it still runs");
        assert!(outside.try_wait().unwrap().is_none());
        outside.kill().unwrap();
        outside.wait().unwrap();
    }
}
