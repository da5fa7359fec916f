//! A host and an Internet for one scenario: network namespaces, so that nothing of this machine's own network is touched.

mod cables;
mod servers;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::place;

/// Two namespaces with a cable between them: one for banger's daemon and VMs, one with web servers.
#[derive(Debug)]
pub struct Internet {
    host: String,
    far: String,
    /// For the root helper's socket and plan.
    dir: tempfile::TempDir,
    web: Option<Child>,
}

/// Two public addresses, at each of which a server answers `hello` on port 80.
pub const SITES: [&str; 2] = ["93.184.216.34", "93.184.216.35"];

/// A public address of IPv6.
pub const SITE6: &str = "2606:2800:21f:cb07::34";

impl Internet {
    /// A new one.
    ///
    /// # Errors
    /// When it cannot be made; it takes root.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| format!("bg-{what}-{}-{number}", std::process::id());
        let mut internet = Self {
            host: name("host"),
            far: name("far"),
            dir: place::short_dir("bgr-")?,
            web: None,
        };
        internet.lay()?;
        Ok(internet)
    }

    fn lay(&mut self) -> Result<()> {
        let (host, far) = (&*self.host, &*self.far);
        ip(&["netns", "add", host])?;
        ip(&["netns", "add", far])?;
        ip(&["-n", host, "link", "set", "lo", "up"])?;
        ip(&["-n", far, "link", "set", "lo", "up"])?;
        ip(&[
            "-n", host, "link", "add", "up0", "type", "veth", "peer", "name", "far0", "netns", far,
        ])?;
        ip(&["-n", host, "addr", "add", "198.51.100.1/24", "dev", "up0"])?;
        ip(&["-n", far, "addr", "add", "198.51.100.2/24", "dev", "far0"])?;
        ip(&["-n", host, "link", "set", "up0", "up"])?;
        ip(&["-n", far, "link", "set", "far0", "up"])?;
        for site in SITES {
            ip(&["-n", far, "addr", "add", &format!("{site}/32"), "dev", "lo"])?;
        }
        ip(&["-n", host, "route", "add", "default", "via", "198.51.100.2"])?;
        let pages = self.pages();
        std::fs::create_dir(&pages)?;
        std::fs::write(pages.join("index.html"), "hello\n")?;
        let web = Command::new("ip")
            .args(["netns", "exec", far, "busybox", "httpd", "-f", "-p", "80", "-h"])
            .arg(&pages)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start a web server")?;
        self.web = Some(web);
        Ok(())
    }

    /// The namespace of the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The file of the host's namespace.
    pub fn host_file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.host)
    }

    /// The file of the far end's namespace.
    pub fn far_file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.far)
    }

    /// What both servers serve.
    pub fn pages(&self) -> PathBuf {
        self.dir.path().join("pages")
    }

    /// Where the root helper's socket is.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("0.sock")
    }

    /// Runs a program on the host. Gives whether it succeeded, and what it printed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn on_the_host(&self, args: &[&str]) -> Result<(bool, String)> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.host])
            .args(args)
            .output()?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    }

    /// The processes on the host.
    pub fn pids(&self) -> Vec<Pid> {
        pids(&self.host).collect()
    }

    /// Ends the root helper that a daemon on the host has started.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_helper(&self) -> Result<()> {
        let is_helper = |pid: &Pid| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid()));
            name.is_ok_and(|name| name.trim() == "banger-root")
        };
        let helper = pids(&self.host).find(is_helper).context("there is no helper")?;
        Ok(kill_process(helper, Signal::KILL)?)
    }

    /// A web server of the host's own, at an address that it has beside the one of its cable.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn serve_on_the_host(&self, address: &str) -> Result<()> {
        let pages = self.dir.path().join("pages").display().to_string();
        ip(&[
            "-n",
            &self.host,
            "addr",
            "add",
            &format!("{address}/32"),
            "dev",
            "lo",
        ])?;
        let port = format!("{address}:80");
        let (started, _) = self.on_the_host(&["busybox", "httpd", "-p", &port, "-h", &pages])?;
        ensure!(started, "no web server at {address}");
        Ok(())
    }

    /// The TAPs that VMs have.
    ///
    /// # Errors
    /// When the links cannot be listed.
    pub fn taps(&self) -> Result<Vec<String>> {
        let (_, links) = self.on_the_host(&["ip", "-br", "link"])?;
        let names = links.lines().filter_map(|line| line.split_whitespace().next());
        Ok(names
            .filter(|name| name.starts_with("bgr0-"))
            .map(str::to_owned)
            .collect())
    }
}

impl Drop for Internet {
    /// What runs in the namespaces was started by the scenario: the helper, the server.
    fn drop(&mut self) {
        for name in [&self.host, &self.far] {
            for pid in pids(name) {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = ip(&["netns", "del", name]);
        }
        if let Some(mut web) = self.web.take() {
            let _ = web.wait();
        }
        let _ = std::fs::remove_dir_all(self.etc());
    }
}

/// The processes in a namespace.
pub(crate) fn pids(netns: &str) -> impl Iterator<Item = Pid> + use<> {
    let output = Command::new("ip").args(["netns", "pids", netns]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let pids: Vec<_> = text
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect();
    pids.into_iter()
}

pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("start ip")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {words}", args.join(" "));
    Ok(())
}
