//! The end of a home: its daemon is killed or stopped, its VMs are removed, and nothing may be left.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Home;
use crate::processes;

impl Home {
    /// What is left of VMs: directories, sockets, records, processes. A scenario ends with nothing.
    ///
    /// # Errors
    /// When it cannot be looked for.
    pub fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for dir in ["state/vms", "run/m", "cache/workspaces"] {
            for entry in std::fs::read_dir(self.path().join(dir))
                .into_iter()
                .flatten()
                .flatten()
            {
                let within = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
                let names: Vec<_> = within.map(|entry| entry.file_name()).collect();
                left.push(format!("{} with {names:?}", entry.path().display()));
            }
        }
        let listed = self.banger(["vm", "list", "--quiet"])?.ok()?.text();
        left.extend(listed.lines().map(|name| format!("record of {name}")));
        let daemon = self.daemon_pid()?;
        left.extend(
            processes::left(self.path(), Some(daemon))?
                .into_iter()
                .map(|(pid, line)| format!("process {pid}: {line}")),
        );
        Ok(left)
    }

    /// Kills the daemon, and returns when it has ended: one that is about to end still takes connections.
    ///
    /// # Errors
    /// When there is none, or it does not end within 30 s.
    pub fn kill_daemon(&self) -> Result<()> {
        self.daemon()?.kill()
    }

    /// The daemon that runs, to be killed without delay.
    ///
    /// # Errors
    /// When there is none.
    pub fn daemon(&self) -> Result<Daemon> {
        let daemon = Pid::from_raw(self.daemon_pid()?).context("a process id")?;
        Ok(Daemon(pidfd_open(daemon, PidfdFlags::empty())?))
    }

    /// Does something while all of banger's that was started with this home stands still, and these others, as while a host sleeps.
    ///
    /// # Errors
    /// Those of what is done.
    pub fn asleep<T>(&self, others: &[Pid], act: impl FnOnce() -> Result<T>) -> Result<T> {
        let _asleep = processes::asleep(self.path(), others);
        act()
    }

    /// Removes every VM, stops the daemon, and checks that nothing is left.
    ///
    /// # Errors
    /// When something is left, or cannot be removed.
    pub fn end(mut self) -> Result<()> {
        let names = self.banger(["vm", "list", "--quiet"])?.ok()?.text();
        if !names.is_empty() {
            self.banger(["vm", "delete", "-f"].into_iter().chain(names.lines()))?
                .ok()?;
        }
        let left = self.leftovers()?;
        self.banger(["daemon", "stop"])?.ok()?;
        ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        let left = processes::left(self.path(), None)?;
        ensure!(left.is_empty(), "left running: {left:?}");
        self.well = true;
        Ok(())
    }
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon(OwnedFd);

impl Daemon {
    /// Kills it, and returns when it has ended.
    ///
    /// # Errors
    /// When it does not end within 30 s.
    pub fn kill(self) -> Result<()> {
        pidfd_send_signal(&self.0, Signal::KILL)?;
        let patience = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        let ended = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience))?;
        ensure!(ended == 1, "the daemon does not end");
        Ok(())
    }
}
