//! The way out of a user's own network: `pasta` (package `passt`), which takes the packets that leave by the interface
//! `outside` and makes sockets of this host of them. Nothing leads in, and nothing to this host.
//!
//! It has the protocols that this host had a way out by when it was started, and does not start where there was none. So where
//! that comes later (a laptop that wakes up, a network with IPv4 after one without), another one is started in its place.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use banger_vmm::{ProcessId, Within, enter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::passt::program;
use crate::routes::{self, Route};

/// The interface's name in the namespace. It lives as long as its pasta does.
const INTERFACE: &str = "outside";

/// A link to the namespace. pasta ends when it is removed, and watches its directory for that; of several things that
/// are removed there at once, Debian 12's sees the first. So nothing else is in it.
const LINK: &str = "out/namespace";

const LOG: &str = "pasta.log";

const PID: &str = "pasta.pid";

/// How long it may take to end.
const ENDING: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// What leads out of the namespace.
#[derive(Debug)]
pub(crate) struct Outside {
    dir: PathBuf,
    /// One is started at a time.
    turns: Mutex<()>,
}

impl Outside {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            turns: Mutex::default(),
        }
    }

    /// Whether the network of `helper` leads out.
    pub(crate) fn is_open(helper: &ProcessId) -> bool {
        let links = std::fs::read_to_string(format!("/proc/{}/net/dev", helper.pid)).unwrap_or_default();
        links
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{INTERFACE}:")))
    }

    /// Lets the network of `helper` lead out, but not to this host. What did before goes on.
    pub(crate) fn open(&self, helper: &ProcessId) -> Result<(), String> {
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_alone(helper)
    }

    /// The same again after this host's network changed: where nothing leads out, or not by a protocol that is needed. A host
    /// without a way out has nothing to lead to.
    pub(crate) fn keep(&self, helper: &ProcessId) -> Result<(), String> {
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let host = Ways::of(&routes::ours());
        if Self::is_open(helper) {
            let inside = Ways::of(&routes::of(&helper.pid.to_string()));
            if !host.are_missing_in(inside) {
                return Ok(());
            }
            tracing::info!(
                ?host,
                ?inside,
                "restarting pasta: this host has another default route"
            );
            self.close(helper)?;
        } else if host == Ways::default() {
            return Ok(());
        }
        self.open_alone(helper)
    }

    /// Ends what leads out.
    fn close(&self, helper: &ProcessId) -> Result<(), String> {
        let pid = std::fs::read_to_string(self.dir.join(PID)).unwrap_or_default();
        let of_ours = |process: &ProcessId| {
            // Its number may be another's by now.
            let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
            let user = |pid| std::fs::read_link(format!("/proc/{pid}/ns/user")).ok();
            name.starts_with("pas") && user(process.pid) == user(helper.pid)
        };
        let process = pid.trim().parse().ok().and_then(|pid| ProcessId::of(pid).ok());
        let held = process.filter(of_ours).map(|process| process.open());
        let Some(held) = held.transpose().map_err(|error| error.to_string())?.flatten() else {
            return Err("the pasta of an earlier version cannot be replaced; restart these VMs".to_owned());
        };
        let ended = pidfd_send_signal(&held, Signal::KILL)
            .and_then(|()| poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&ENDING)));
        match ended {
            Ok(0) => Err(format!("pasta did not end within {} s", ENDING.tv_sec)),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("failed to end pasta: {error}")),
        }
    }

    fn open_alone(&self, helper: &ProcessId) -> Result<(), String> {
        if Self::is_open(helper) {
            return Ok(());
        }
        let program = program().map_err(|unable| unable.reason)?;
        let log = self.dir.join(LOG);
        let status = self
            .start(&program, helper, &log)
            .map_err(|error| format!("failed to start {}: {error}", program.display()))?;
        if status.success() && Self::is_open(helper) {
            return Ok(());
        }
        let words = std::fs::read_to_string(&log).unwrap_or_default();
        // It complains that no system logger hears it, too.
        let last = words.lines().rfind(|line| !line.contains("syslog"));
        Err(format!(
            "pasta ended with {status}: {}",
            last.unwrap_or("no error message")
        ))
    }

    /// Starts pasta, which returns when it is at work in the background.
    fn start(&self, program: &Path, helper: &ProcessId, log: &Path) -> io::Result<ExitStatus> {
        let link = self.dir.join(LINK);
        let dir = link.parent().unwrap_or(&self.dir);
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(format!("/proc/{}/ns/net", helper.pid), &link)?;
        let log = File::create(log)?;
        let mut command = Command::new(program);
        command.env_clear();
        if let Some(home) = std::env::var_os("BANGER_HOME") {
            command.env("BANGER_HOME", home);
        }
        command
            .args(["--config-net", "--ns-ifname", INTERFACE])
            // No port of one side is one of the other's, and the router's address is the router's.
            .args([
                "-t",
                "none",
                "-u",
                "none",
                "-T",
                "none",
                "-U",
                "none",
                "--no-map-gw",
            ])
            .args([
                "--no-dhcp",
                "--no-dhcpv6",
                "--no-ra",
                "--stderr",
                "--netns-only",
                "--netns",
            ])
            .arg(&link)
            .arg("--pid")
            .arg(self.dir.join(PID))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // As a user of the namespaces it takes no other user's rights, also where this daemon is root.
        enter(&mut command, helper, Within::UsersAsRoot)?;
        command.status()
    }
}

/// The protocols by which a network leads out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ways {
    v4: bool,
    v6: bool,
}

impl Ways {
    /// Those of a network with these routes.
    fn of(routes: &[Route]) -> Self {
        let leads = |v4| {
            let mut outside = routes.iter().filter(|route| route.is_default() && route.reaches);
            outside.any(|route| route.is_v4() == v4)
        };
        Self {
            v4: leads(true),
            v6: leads(false),
        }
    }

    /// Whether what leads out by these is of no use where this host has those: not by IPv4, or by none that there is. To end
    /// it ends connections, so that it may lack IPv6 beside an IPv4 that works.
    fn are_missing_in(self, inside: Self) -> bool {
        let shared = self.v4 && inside.v4 || self.v6 && inside.v6;
        self.v4 && !inside.v4 || self.v6 && !inside.v6 && !shared
    }
}

#[cfg(test)]
mod tests;
