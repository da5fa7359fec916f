//! The way out of a user's own network: `pasta` (package `passt`), which takes the packets that leave by the interface
//! `outside` and makes sockets of this host of them. Nothing leads in, and nothing to this host.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use banger_vmm::{ProcessId, Within, enter};

use super::unable::Unable;

/// The interface's name in the namespace. It lives as long as its pasta does.
const INTERFACE: &str = "outside";
/// A link to the namespace. pasta ends when it is removed, and watches its directory for that; of several things that
/// are removed there at once, Debian 12's sees the first. So nothing else is in it.
const LINK: &str = "out/namespace";
const LOG: &str = "pasta.log";

/// What leads out of the namespace.
#[derive(Debug)]
pub(super) struct Outside {
    dir: PathBuf,
}

/// Where pasta is.
pub(super) fn program() -> Result<PathBuf, Unable> {
    banger_vmm::path::find("pasta").ok_or(Unable {
        reason: "there is no `pasta` on PATH".to_owned(),
        hint: "sudo apt-get install passt",
    })
}

impl Outside {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Whether the network of `helper` leads out.
    pub(super) fn is_open(helper: &ProcessId) -> bool {
        let links = std::fs::read_to_string(format!("/proc/{}/net/dev", helper.pid)).unwrap_or_default();
        links
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{INTERFACE}:")))
    }

    /// Lets the network of `helper` lead out, but not to this host. What did before goes on.
    pub(super) fn open(&self, helper: &ProcessId) -> Result<(), String> {
        if Self::is_open(helper) {
            return Ok(());
        }
        let program = program().map_err(|unable| unable.reason)?;
        let log = self.dir.join(LOG);
        let status = self
            .start(&program, helper, &log)
            .map_err(|error| format!("start {}: {error}", program.display()))?;
        if status.success() && Self::is_open(helper) {
            return Ok(());
        }
        let words = std::fs::read_to_string(&log).unwrap_or_default();
        // It complains that no system logger hears it, too.
        let last = words.lines().rfind(|line| !line.contains("syslog"));
        Err(format!(
            "pasta ended with {status}: {}",
            last.unwrap_or("it says nothing")
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
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // As a user of the namespaces it takes no other user's rights, also where this daemon is root.
        enter(&mut command, helper, Within::UsersAsRoot)?;
        command.status()
    }
}
