//! The processes of a home: what was started with it, and which of these are banger's own.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The programs that this tests, those that run machines, and those that lead their networks out.
const PROGRAMS: [&str; 11] = [
    "banger",
    "bangerd",
    "banger-fake-guest",
    "banger-vsock-agent",
    "firecracker",
    "qemu-system-x86_64",
    "qemu-system-aarch64",
    "vhost-device-vsock",
    "pasta",
    "pasta.avx2",
    "passt.avx2",
];

/// A process, as /proc has it.
#[derive(Debug)]
struct Process {
    program: String,
    line: String,
    env: BTreeSet<Vec<u8>>,
    cwd: PathBuf,
}

impl Process {
    /// Nothing when it has ended.
    fn read(pid: i32) -> Option<Self> {
        let place = PathBuf::from(format!("/proc/{pid}"));
        let line = std::fs::read(place.join("cmdline")).ok()?;
        // What has ended and was not waited for yet has no command line.
        if line.is_empty() {
            return None;
        }
        let program = std::fs::read_link(place.join("exe")).unwrap_or_default();
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let env = std::fs::read(place.join("environ")).unwrap_or_default();
        Some(Self {
            // One that was built again meanwhile.
            program: program.trim_end_matches(" (deleted)").to_owned(),
            line: String::from_utf8_lossy(&line).replace('\0', " "),
            env: env.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect(),
            cwd: std::fs::read_link(place.join("cwd")).unwrap_or_default(),
        })
    }

    /// Whether it serves the network of a daemon that still runs, and ends with that daemon.
    fn is_of_the_network(&self) -> bool {
        self.line.contains(" net-helper ") || self.program.starts_with("pas")
    }

    fn is_bangers(&self) -> bool {
        PROGRAMS.contains(&&*self.program)
    }

    /// Whether it was started with the home: an editor of one of its files was not.
    fn is_of(&self, home: &Path) -> bool {
        let text = home.as_os_str().as_bytes();
        // The fake guest's root has its home below.
        let lives_there = self.env.iter().any(|variable| {
            let home = variable
                .strip_prefix(b"BANGER_HOME=")
                .or_else(|| variable.strip_prefix(b"HOME="));
            home.is_some_and(|home| home.starts_with(text))
        });
        let names_it = self.is_bangers() && self.line.contains(&*home.to_string_lossy());
        lives_there || names_it || self.cwd.starts_with(home)
    }
}

/// The processes that were started with this home, by id, with their command lines; but not a daemon to `spare`, and what
/// ends with it.
fn of(home: &Path, spare: Option<i32>) -> Result<Vec<(i32, String)>> {
    let ours = |pid: i32| {
        let process = Process::read(pid).filter(|process| process.is_of(home))?;
        let is_spared = spare.is_some_and(|daemon| daemon == pid || process.is_of_the_network());
        (!is_spared).then_some((pid, process.line))
    };
    Ok(all()?.into_iter().filter_map(ours).collect())
}

/// How long what ends with a machine may take to do it: the commands of a fake guest see it at their next read.
const ENDING: Duration = Duration::from_secs(3);

/// The processes of a home that do not end by themselves, but a daemon to `spare` and what ends with it.
pub(crate) fn left(home: &Path, spare: Option<i32>) -> Result<Vec<(i32, String)>> {
    let deadline = Instant::now() + ENDING;
    for (pid, _) in of(home, spare)? {
        let Some(held) = hold(pid) else { continue };
        let time = deadline.saturating_duration_since(Instant::now());
        let time = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        };
        poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&time))?;
    }
    of(home, spare)
}

/// Kills banger's programs and machines that were started with this home, and nothing else: what they have started ends
/// with them.
pub(crate) fn kill(home: &Path) {
    for pid in all().unwrap_or_default() {
        // Held before it is looked at: it is no other process then when it is killed.
        let Some(held) = hold(pid) else { continue };
        if Process::read(pid).is_some_and(|process| process.is_bangers() && process.is_of(home)) {
            let _ = pidfd_send_signal(&held, Signal::KILL);
        }
    }
}

/// What of banger's was started with this home, and of these others, held still until this is dropped, as by a host that sleeps.
#[derive(Debug)]
pub(crate) struct Asleep(Vec<OwnedFd>);

pub(crate) fn asleep(home: &Path, others: &[Pid]) -> Asleep {
    let ours = all().unwrap_or_default().into_iter().filter_map(|pid| {
        let held = hold(pid)?;
        let is_ours = Process::read(pid).is_some_and(|process| process.is_bangers() && process.is_of(home));
        is_ours.then_some(held)
    });
    let others = others
        .iter()
        .filter_map(|&pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let all: Vec<OwnedFd> = ours.chain(others).collect();
    for held in &all {
        let _ = pidfd_send_signal(held, Signal::STOP);
    }
    Asleep(all)
}

impl Drop for Asleep {
    fn drop(&mut self) {
        for held in &self.0 {
            let _ = pidfd_send_signal(held, Signal::CONT);
        }
    }
}

fn hold(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

fn all() -> Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    Ok(entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// A process that is not one of a scenario's, which ends with the test.
    struct Running(Child);

    impl Running {
        fn start(command: &mut Command) -> Self {
            let running = Self(command.spawn().unwrap());
            // A process that has just been executed has neither words nor variables for an instant.
            while Process::read(running.pid()).is_none_or(|process| process.env.len() < 2) {
                std::thread::yield_now();
            }
            running
        }

        fn pid(&self) -> i32 {
            self.0.id().try_into().unwrap()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn what_only_looks_at_a_home_is_let_live() {
        let home = tempfile::tempdir().unwrap();
        let programs = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        std::fs::write(&log, "").unwrap();
        let program = programs.path().join("firecracker");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut watcher = Running::start(Command::new("tail").arg("-f").arg(&log));
        let mut visitor = Running::start(Command::new("sleep").arg("100").current_dir(home.path()));
        let mut stranger = Running::start(Command::new(&program).arg("100"));
        let mut machine = Running::start(Command::new(&program).arg("100").env("BANGER_HOME", home.path()));
        let found: Vec<i32> = of(home.path(), None)
            .unwrap()
            .into_iter()
            .map(|(pid, _)| pid)
            .collect();
        assert!(found.contains(&machine.pid()) && found.contains(&visitor.pid()));
        assert!(!found.contains(&watcher.pid()) && !found.contains(&stranger.pid()));
        kill(home.path());
        assert!(!machine.0.wait().unwrap().success());
        for other in [&mut watcher, &mut visitor, &mut stranger] {
            assert!(other.0.try_wait().unwrap().is_none(), "it was killed");
        }
    }
}
