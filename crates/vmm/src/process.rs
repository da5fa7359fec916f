//! Processes by more than their number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use crate::descriptor::readable;

/// A process, told apart from a later one of the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    ///
    /// # Errors
    /// When there is none, or `/proc` cannot be read.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
        let started =
            start_time(&stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable stat"))?;
        Ok(Self { pid, started })
    }

    /// A handle on the process, or nothing when it is gone (a zombie included).
    ///
    /// # Errors
    /// When the kernel gives no handle for another reason.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let handle = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after the handle was taken: if it is the right process now, the handle is of it.
        Ok((Self::of(self.pid).is_ok_and(|now| now == *self) && !is_zombie(self.pid)).then_some(handle))
    }

    /// Whether the process has the file of this device and inode open. It has its disks open, and the locks on them, whatever
    /// became of the names that they had.
    ///
    /// # Errors
    /// When its descriptors may not be looked at.
    pub fn has_open(&self, device: u64, inode: u64) -> io::Result<bool> {
        let held = self.open()?;
        if held.is_none() {
            return Ok(false);
        }
        for entry in std::fs::read_dir(format!("/proc/{}/fd", self.pid))? {
            // One that was closed meanwhile is not open.
            let Ok(metadata) = entry.and_then(|entry| std::fs::metadata(entry.path())) else {
                continue;
            };
            if (metadata.dev(), metadata.ino()) == (device, inode) {
                return Ok(self.is_alive());
            }
        }
        Ok(false)
    }

    /// Whether the process runs.
    pub fn is_alive(&self) -> bool {
        self.open().is_ok_and(|handle| handle.is_some())
    }
}

/// Field 22 of a stat line. The second field is the program's name in parentheses and may hold anything.
fn start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .iter()
        .rposition(|&byte| byte == b')')
        .and_then(|at| stat.get(at + 2));
    matches!(state, Some(b'Z' | b'X'))
}

/// How a process ended: its code or `128 + signal`; nothing when it was another's child.
pub(crate) type ExitCode = Option<i32>;

/// A process that can be waited for and signalled without a race.
#[derive(Debug)]
pub(crate) struct Handle {
    id: ProcessId,
    fd: AsyncFd<OwnedFd>,
}

impl Handle {
    /// A handle on the process `id`; nothing when it is gone. Call it in the runtime.
    pub(crate) fn open(id: ProcessId) -> io::Result<Option<Self>> {
        let Some(fd) = id.open()? else { return Ok(None) };
        let fd = readable(fd)?;
        Ok(Some(Self { id, fd }))
    }

    /// A handle on a child of ours that was not waited for. It may have ended, and its status is still to be taken.
    pub(crate) fn of_child(pid: i32) -> io::Result<Self> {
        let id = ProcessId::of(pid)?;
        let child = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = readable(pidfd_open(child, PidfdFlags::NONBLOCK)?)?;
        Ok(Self { id, fd })
    }

    pub(crate) const fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until the process has ended, and takes its status if it is our child.
    pub(crate) async fn ended(&self) -> ExitCode {
        // An error cannot happen on a valid descriptor; were it to, an end that is told early is found out by waitid.
        let _ = self.fd.readable().await;
        let status = waitid(
            WaitId::PidFd(self.fd.get_ref().as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        let status = status.ok().flatten()?;
        status
            .exit_status()
            .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    }

    /// Sends a signal; a process that is gone already is no failure.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let line = b"42 (a) b) (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";
        assert_eq!(start_time(line), Some(98765));
        assert_eq!(start_time(b"garbage"), None);
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let us = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(us.is_alive());
        let earlier = ProcessId {
            started: us.started - 1,
            ..us
        };
        assert!(!earlier.is_alive());
    }

    #[tokio::test]
    async fn an_end_is_waited_for_with_its_status() {
        // Waited for by its handle.
        #[expect(clippy::zombie_processes)]
        let child = Command::new("sh")
            .args(["-c", "sleep 0.1; exit 7"])
            .spawn()
            .unwrap();
        let handle = Handle::of_child(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(handle.ended().await, Some(7));
    }

    #[tokio::test]
    async fn a_child_that_has_ended_still_has_its_status() {
        // Waited for by its handle.
        #[expect(clippy::zombie_processes)]
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !is_zombie(pid) {
            tokio::task::yield_now().await;
        }
        let handle = Handle::of_child(pid).unwrap();
        assert_eq!(handle.ended().await, Some(7));
    }
}
