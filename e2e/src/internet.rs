//! A host and an Internet for one story: network namespaces, so that nothing of this machine's own network is touched.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

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

    /// Gives the far end another address of IPv6.
    ///
    /// # Errors
    /// When it has it.
    pub fn serve_v6(&self, address: &str) -> Result<()> {
        ip(&[
            "-n",
            &self.far,
            "addr",
            "add",
            &format!("{address}/128"),
            "dev",
            "lo",
            "nodad",
        ])
    }

    /// What both servers serve.
    pub fn pages(&self) -> PathBuf {
        self.dir.path().join("pages")
    }

    /// Where the root helper's socket is.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("0.sock")
    }

    /// Answers every question for an IPv4 address with `site`, at port 53 of the far end. Ends with the story.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn resolve_to(&self, site: &str) -> Result<()> {
        self.resolve_at("198.51.100.2", site)
    }

    /// The same at an address that the far end has.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn resolve_at(&self, server: &str, site: &str) -> Result<()> {
        let site: Ipv4Addr = site.parse()?;
        let server: Ipv4Addr = server.parse()?;
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let socket = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| UdpSocket::bind((server, 53)));
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            let mut question = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(&answer(&question[..len], site), from);
            }
        });
        Ok(is_bound.recv()??)
    }

    /// Answers each connection to this port of the far end with its request, only after a while. Ends with the story.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn answer_late(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut request = [0; 4096];
            // Who goes away meanwhile has its reasons.
            while let Ok(length @ 1..) = stream.read(&mut request) {
                std::thread::sleep(after);
                let _ = stream.write_all(&request[..length]);
            }
        })
    }

    fn serve_far(&self, port: u16, serve: impl Fn(TcpStream) + Copy + Send + 'static) -> Result<()> {
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let listener = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| TcpListener::bind(("0.0.0.0", port)));
            let listener = match listener {
                Ok(listener) => listener,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(is_bound.recv()??)
    }

    /// Says something at this port of the far end when nothing was said for a while. Ends with the story.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn speak_late(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                std::thread::sleep(after);
                let _ = stream.write_all(b"by itself\n");
                let _ = stream.read(&mut request);
            }
        })
    }

    /// Answers at this port of the far end when all was said, a while after: `N bytes`. Ends with the story.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn answer_at_the_end(&self, port: u16, after: Duration) -> Result<()> {
        self.serve_far(port, move |mut stream| {
            let mut said = Vec::new();
            if stream.read_to_end(&mut said).is_ok() {
                std::thread::sleep(after);
                let _ = stream.write_all(format!("{} bytes\n", said.len()).as_bytes());
            }
        })
    }

    /// What datagrams to this port of the far end hold, as they come. Ends with the story.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn hears(&self, port: u16) -> Result<Receiver<Vec<u8>>> {
        let netns = std::fs::File::open(format!("/run/netns/{}", self.far))?;
        let (bound, is_bound) = mpsc::channel();
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let socket = rustix::thread::move_into_link_name_space(netns.as_fd(), kind)
                .map_err(std::io::Error::from)
                .and_then(|()| UdpSocket::bind(("0.0.0.0", port)));
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => return drop(bound.send(Err(error))),
            };
            let _ = bound.send(Ok(()));
            let mut datagram = [0; 1500];
            while let Ok((length, _)) = socket.recv_from(&mut datagram) {
                if sender.send(datagram[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        is_bound.recv()??;
        Ok(heard)
    }

    /// Another cable to the same far end, over which everything goes from now on; the first one is pulled.
    ///
    /// # Errors
    /// When it cannot be laid.
    pub fn change_cables(&self) -> Result<()> {
        let (host, far) = (&*self.host, &*self.far);
        ip(&[
            "-n", host, "link", "add", "up1", "type", "veth", "peer", "name", "far1", "netns", far,
        ])?;
        ip(&["-n", host, "addr", "add", "192.0.2.1/24", "dev", "up1"])?;
        ip(&["-n", far, "addr", "add", "192.0.2.2/24", "dev", "far1"])?;
        ip(&["-n", host, "link", "set", "up1", "up"])?;
        ip(&["-n", far, "link", "set", "far1", "up"])?;
        ip(&["-n", host, "route", "replace", "default", "via", "192.0.2.2"])?;
        ip(&["-n", host, "link", "set", "up0", "down"])
    }

    /// Lets the host have another resolver. The first time comes before its daemon is started.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn name_resolver(&self, address: Option<&str>) -> Result<()> {
        // What `ip netns exec` puts over /etc. It is the same file to the end, which programs have.
        let etc = self.etc();
        std::fs::create_dir_all(&etc)?;
        let line = address.map(|address| format!("nameserver {address}\n"));
        Ok(std::fs::write(etc.join("resolv.conf"), line.unwrap_or_default())?)
    }

    fn etc(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.host)
    }

    /// Takes the host its way out.
    ///
    /// # Errors
    /// When it has none.
    pub fn unplug(&self) -> Result<()> {
        ip(&["-n", &self.host, "route", "del", "default"])
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it has one.
    pub fn plug(&self) -> Result<()> {
        ip(&["-n", &self.host, "route", "add", "default", "via", "198.51.100.2"])
    }

    /// A way out by IPv6, and behind it the web server at `SITE6` too.
    ///
    /// # Errors
    /// When it cannot be laid.
    pub fn plug_v6(&self) -> Result<()> {
        let (host, far) = (&*self.host, &*self.far);
        ip(&[
            "-n",
            far,
            "addr",
            "add",
            "2001:db8:1::2/64",
            "dev",
            "far0",
            "nodad",
        ])?;
        ip(&[
            "-n",
            far,
            "addr",
            "add",
            &format!("{SITE6}/128"),
            "dev",
            "lo",
            "nodad",
        ])?;
        // Back to whoever is on the other end.
        ip(&[
            "-n",
            host,
            "addr",
            "add",
            "2001:db8:1::1/64",
            "dev",
            "up0",
            "nodad",
        ])?;
        ip(&[
            "-n",
            host,
            "-6",
            "route",
            "add",
            "default",
            "via",
            "2001:db8:1::2",
        ])
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
    /// What runs in the namespaces was started by the story: the helper, the server.
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

/// An answer to a question (RFC 1035, section 4.1): an address for 60 s to one of type A, nothing to others. What follows
/// the question is left out.
fn answer(question: &[u8], site: Ipv4Addr) -> Vec<u8> {
    let name = question.get(12..).unwrap_or_default();
    let mut end = 0;
    while let Some(&label) = name.get(end).filter(|label| **label > 0) {
        end += 1 + usize::from(label);
    }
    let end = (12 + end + 5).min(question.len());
    let is_a = question[..end].ends_with(&[0, 1, 0, 1]);
    let mut answer = question[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(site.octets());
    }
    answer
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
