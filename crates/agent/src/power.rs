//! The end of a guest. Its machine ends by a *reboot*: Firecracker exits on the guest's reset and has no power switch,
//! and QEMU is told not to reboot.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use banger_guest_api::InitKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::system::{RebootCommand, reboot};

use crate::freeze::Frozen;
use crate::supervisor;

/// systemd's signal for a reboot: `SIGRTMIN+5`, with the C library's `SIGRTMIN` of 34 (systemd(1)).
const SYSTEMD_REBOOT: i32 = 39;

/// What killed processes get to be gone.
const KILLED: Duration = Duration::from_secs(1);

/// Powers the guest off: its init and processes get `grace`; then they are killed. The VM's `disk` is brought to rest, and
/// the machine ends.
pub fn off(init: InitKind, grace: Duration, disk: &OwnedFd) -> ! {
    let deadline = Instant::now() + grace;
    match init {
        InitKind::Agent => {
            signal_all(libc::SIGTERM);
            until_gone(deadline);
        }
        InitKind::Systemd => ask_init(SYSTEMD_REBOOT, deadline),
        InitKind::OpenRc | InitKind::Runit | InitKind::SysV | InitKind::Other => ask_program(deadline),
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
