//! The end of a guest. Its machine ends by a *reboot*: Firecracker exits on the guest's reset and has no power switch,
//! and QEMU is told not to reboot.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use banger_guest_api::InitKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::system::{RebootCommand, reboot};

use crate::freeze::Frozen;
use crate::supervisor;

/// systemd's signal for a reboot: `SIGRTMIN+5`, with the C library's `SIGRTMIN` of 34 (systemd(1)).
const SYSTEMD_REBOOT: i32 = 39;

/// What killed processes get to be gone.
const KILLED: Duration = Duration::from_secs(1);

/// What programs on terminals get before their terminals are gone.
const AT_TERMINALS: Duration = Duration::from_millis(300);

/// The device numbers of the ends of pseudo-terminals that programs have (the kernel's `devices.txt`).
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

/// Powers the guest off: its init and processes get `grace`; then they are killed. The VM's `disk` is brought to rest, and
/// the machine ends.
pub fn off(init: InitKind, grace: Duration, disk: &OwnedFd) -> ! {
    let deadline = Instant::now() + grace;
    match init {
        InitKind::Agent => {
            signal_all(libc::SIGTERM);
            // A program on a terminal that takes the signal has ended by then.
            until_gone(deadline.min(Instant::now() + AT_TERMINALS));
            hang_up();
            until_gone(deadline);
        }
        InitKind::Systemd => {
            hang_up();
            ask_init(SYSTEMD_REBOOT, deadline);
        }
        InitKind::OpenRc | InitKind::Runit | InitKind::SysV | InitKind::Other => {
            hang_up();
            ask_program(deadline);
        }
    }
    signal_all(libc::SIGKILL);
    until_gone(Instant::now() + KILLED);
    rustix::fs::sync();
    // The root is busy to the last and cannot be unmounted. Frozen, the disk is as if it were: its journal is empty, so
    // that it can be grown and committed while the VM is stopped.
    if let Ok(frozen) = disk.try_clone().and_then(Frozen::new) {
        std::mem::forget(frozen);
    }
    restart()
}

/// Ends the machine of a guest that has not become one.
pub fn end_machine() -> ! {
    rustix::fs::sync();
    restart()
}

fn restart() -> ! {
    let _ = reboot(RebootCommand::Restart);
    // Only without the privilege to reboot: no guest.
    std::process::exit(0)
}

/// An init that takes the signal ends the machine itself, and us with it.
fn ask_init(signal: i32, deadline: Instant) {
    // SAFETY: kill(2) has no preconditions.
    let asked = unsafe { libc::kill(1, signal) } == 0;
    if asked {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Other inits have a program for it, whose name is the same everywhere.
fn ask_program(deadline: Instant) {
    let asked = Command::new("reboot").stdin(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    } else {
        ask_init(libc::SIGTERM, deadline);
    }
}

/// Signals every process but init and this one.
fn signal_all(signal: i32) {
    // SAFETY: kill(2) has no preconditions.
    unsafe {
        libc::kill(-1, signal);
    }
}

/// Hangs up on what runs on terminals: their clients go with the guest, and an interactive shell ends by nothing else.
fn hang_up() {
    for pid in others().filter(|&pid| is_on_terminal(pid)) {
        for signal in [Signal::HUP, Signal::CONT] {
            // One that has ended meanwhile needs none.
            let _ = kill_process(pid, signal);
        }
    }
}

fn is_on_terminal(pid: Pid) -> bool {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| {
        let device = terminal_of(&String::from_utf8_lossy(&stat));
        device.is_some_and(|device| PSEUDO_TERMINALS.contains(&((device >> 8) & 0xfff)))
    })
}

/// The controlling terminal in `/proc/PID/stat` (proc(5)): `pid (name) state ppid pgrp session tty_nr …`, of which the name may
/// have anything.
fn terminal_of(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(4)?.parse().ok()
}

/// Waits until the processes that run now are gone, all but init, the supervisor and this one; not beyond `deadline`.
fn until_gone(deadline: Instant) {
    let processes: Vec<OwnedFd> = others()
        .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .collect();
    for process in &processes {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else {
            return;
        };
        let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        let _ = poll(&mut fds, Some(&timeout));
    }
}

fn others() -> impl Iterator<Item = Pid> {
    let ours = [
        Some(Pid::INIT),
        rustix::process::getppid(),
        Some(rustix::process::getpid()),
    ];
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(move |pid| !ours.contains(&Some(*pid)) && ends(*pid))
}

/// Whether a process ends when it is asked to. Threads of the kernel have no command line, and never end. The
/// supervisor and its server ignore it; when PID 1 asks, they are not its parent and itself.
fn ends(pid: Pid) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    line.is_ok_and(|line| {
        let ours = [supervisor::NAME, supervisor::SERVER];
        let name = line.split(|&byte| byte == 0).next().unwrap_or_default();
        !line.is_empty() && !ours.iter().any(|ours| ours.as_bytes() == name)
    })
}

#[cfg(test)]
mod tests {
    use super::terminal_of;

    #[test]
    fn a_process_says_its_terminal_whatever_its_name() {
        assert_eq!(terminal_of("7 (sh) S 1 7 7 34817 7 4194304"), Some(34817));
        assert_eq!(terminal_of("7 (a) R 9 (b)) S 1 7 7 0 -1"), Some(0));
        assert_eq!(terminal_of("7 (sh"), None);
    }
}
