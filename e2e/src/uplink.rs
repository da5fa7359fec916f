//! A host for one scenario whose way out is this machine's own network, with nothing of this machine changed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::internet::{ip, pids};
use crate::place;

/// How long a way out may take to be there.
const SOON: Duration = Duration::from_secs(10);

/// A network namespace that pasta leads out.
#[derive(Debug)]
pub struct Uplink {
    host: String,
    dir: tempfile::TempDir,
    pasta: Child,
}

impl Uplink {
    /// A new one.
    ///
    /// # Errors
    /// When it cannot be made; it takes root and pasta.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let host = format!("bg-real-{}-{number}", std::process::id());
        let dir = place::short_dir("bgr-")?;
        ip(&["netns", "add", &host])?;
        ip(&["-n", &host, "link", "set", "lo", "up"])?;
        let pasta = Command::new("pasta")
            .args(["--config-net", "--foreground", "--quiet", "--runas", "0"])
            .args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"])
            .args(["--netns-only", "--netns", &format!("/run/netns/{host}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start pasta")?;
        let uplink = Self { host, dir, pasta };
        let start = Instant::now();
        while uplink.gateway()?.is_empty() {
            ensure!(start.elapsed() < SOON, "pasta leads nothing out");
            std::thread::sleep(Duration::from_millis(20));
        }
        uplink.resolve()?;
        Ok(uplink)
    }

    /// Where everything goes.
    fn gateway(&self) -> Result<String> {
        let output = Command::new("ip")
            .args(["-n", &self.host, "route", "show", "default"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.split_whitespace().nth(2).unwrap_or_default().to_owned())
    }

    /// A resolver of this machine's own loopback is at the gateway in there, as pasta has it.
    fn resolve(&self) -> Result<()> {
        let ours = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let first = ours.lines().find_map(|line| line.strip_prefix("nameserver "));
        if !first.is_some_and(|address| address.trim().starts_with("127.")) {
            return Ok(());
        }
        std::fs::create_dir_all(self.etc())?;
        let line = format!("nameserver {}\n", self.gateway()?);
        Ok(std::fs::write(self.etc().join("resolv.conf"), line)?)
    }

    /// What `ip netns exec` puts over /etc.
    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.host)
    }

    /// The namespace.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the root helper's socket is.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("0.sock")
    }
}

impl Drop for Uplink {
    /// What runs in the namespace was started by the scenario.
    fn drop(&mut self) {
        for pid in pids(&self.host) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let pasta = i32::try_from(self.pasta.id()).ok().and_then(Pid::from_raw);
        if let Some(pasta) = pasta {
            let _ = kill_process(pasta, Signal::KILL);
        }
        let _ = self.pasta.wait();
        let _ = ip(&["netns", "del", &self.host]);
        let _ = std::fs::remove_dir_all(self.etc());
    }
}
