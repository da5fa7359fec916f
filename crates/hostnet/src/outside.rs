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

use banger_model::network::Finding;
use banger_vmm::{ProcessId, Within, enter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::routes::{self, Route};
use crate::unable::Unable;

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

/// Where pasta is.
pub(crate) fn program() -> Result<PathBuf, Unable> {
    banger_vmm::path::find("pasta").ok_or(Unable {
        reason: "`pasta` is not on PATH".to_owned(),
        hint: "sudo apt-get install passt",
    })
}

/// The first pasta that is known to pass on all ends of connections: Debian 13's. Debian 12's, of 20230309, is known not to: it
/// was tried without a VM, too. A date, YYYYMMDD.
const RIGHT: u32 = 20_250_503;

/// What is wrong with it, by what it says of its version.
pub(crate) fn fault() -> Option<Finding> {
    let mut command = Command::new(program().ok()?);
    let said = command.env_clear().arg("--version").output().ok()?;
    fault_of(
        String::from_utf8_lossy(&said.stdout)
            .lines()
            .next()
            .unwrap_or_default(),
    )
}

fn fault_of(line: &str) -> Option<Finding> {
    let which = match dated(line) {
        Some(date) if date >= RIGHT => return None,
        Some(date) => format!("pasta is of {date}"),
        // Such as Debian 12's.
        None => "the version of pasta is unknown".to_owned(),
    };
    Some(Finding {
        problem: format!(
            "{which}, and loses the end of a connection whose client closed its own direction first, or repeats what comes \
             then: programs such as `printf … | nc` get their answer, perhaps twice, and wait on. Clients of HTTP, git and \
             SSH do not do that"
        ),
        hint: "install passt 0.0~git20250503 or later, as Debian 13 has it".to_owned(),
    })
}

/// The date that is a version of passt's: `0.0~git20230309.7c7625d-1`, `0^20250503.g587980c-1`, `2025_05_03.587980c`.
fn dated(line: &str) -> Option<u32> {
    let words = line.split(|c: char| !c.is_ascii_digit() && c != '_');
    let mut numbers = words.map(|word| word.replace('_', ""));
    numbers
        .find(|word| word.len() == 8 && word.starts_with("20"))?
        .parse()
        .ok()
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
mod tests {
    use super::*;

    #[test]
    fn a_way_out_is_a_default_route_that_reaches_something() {
        let route = |net: &str, reaches| Route {
            net: net.parse().unwrap(),
            link: "eth0".to_owned(),
            reaches,
        };
        let ways = |v4, v6| Ways { v4, v6 };
        let [v4, v6] = ["0.0.0.0/0", "::/0"].map(|net| route(net, true));
        assert_eq!(Ways::of(&[v4.clone(), v6.clone()]), ways(true, true));
        assert_eq!(Ways::of(&[v4, route("::/0", false)]), ways(true, false));
        assert_eq!(Ways::of(&[v6]), ways(false, true));
        let others = [route("10.0.0.0/8", true), route("0.0.0.0/0", false)];
        assert_eq!(Ways::of(&others), Ways::default());
    }

    #[test]
    fn a_version_is_judged_by_its_date() {
        for right in [
            "pasta 0.0~git20250503.587980c-2+deb13u1",
            "pasta 0^20250503.g587980c-1.fc42.x86_64",
            "pasta 2025_06_11.0293c6f",
            "passt 20260101",
        ] {
            assert_eq!(fault_of(right), None);
        }
        let old = fault_of("pasta 0.0~git20230309.7c7625d-1").unwrap();
        assert!(
            old.problem.starts_with("pasta is of 20230309, and loses"),
            "{old:?}"
        );
        for unknown in ["pasta unknown version", "", "pasta 1.2.3"] {
            let fault = fault_of(unknown).unwrap();
            assert!(
                fault.problem.contains("the version of pasta is unknown") && fault.hint.contains("20250503"),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn what_leads_out_is_renewed_only_where_it_is_of_no_use() {
        let ways =
            [(false, false), (true, false), (false, true), (true, true)].map(|(v4, v6)| Ways { v4, v6 });
        let [none, v4, v6, both] = ways;
        for (host, inside) in [
            (v4, v6),
            (both, v6),
            (v6, v4),
            (v4, none),
            (v6, none),
            (both, none),
        ] {
            assert!(host.are_missing_in(inside), "{host:?} {inside:?}");
        }
        for (host, inside) in [
            (v4, v4),
            (v4, both),
            (v6, both),
            (both, v4),
            (none, v4),
            (none, both),
        ] {
            assert!(!host.are_missing_in(inside), "{host:?} {inside:?}");
        }
    }
}
