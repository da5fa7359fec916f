//! What a guest's TCP reaches through banger's bridge, filter and TAP, beside a TAP that has nothing behind it.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use super::create::rootfs;
use super::figure::{Figure, median_of};
use super::home::{Home, Under, test_kernel_append};

const RUNS: usize = 7;
/// Bytes of a run.
const AMOUNT: usize = 256 << 20;

/// Where the guests send: the host as the bare guest knows it, and banger's gateway.
const BARE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 99, 0, 1), 5001);
const OURS: (Ipv4Addr, u16) = (Ipv4Addr::new(172, 16, 0, 1), 5002);

/// Sends zeros for ever. One that is not wanted yet waits with its buffers full, and costs nothing.
const SEND: &str = "while :; do busybox nc $1 $2 < /dev/zero; busybox sleep 0.1; done";

/// The first process of the bare guest.
const INIT: &str = "#!/bin/sh\nbusybox mount -t devtmpfs dev /dev\nbusybox ip addr add 10.99.0.2/30 dev eth0\nbusybox ip link set eth0 up\nset -- 10.99.0.1 5001\n";

pub(super) fn measure() -> Result<Vec<Figure>> {
    ensure!(rustix::process::geteuid().is_root(), "this figure needs root");
    let netns = Netns::new()?;
    let home = Home::with_files(&[("bare", &format!("{INIT}{SEND}\n"))])?
        .with_kernel(Under::Firecracker)?
        .within(&netns.0)?;
    let (bare_sink, our_sink) = (netns.sink(BARE.1)?, netns.sink(OURS.1)?);
    let _bare = start_bare(&home, &netns)?;
    let port = format!("host:{}", OURS.1);
    home.create(Under::Firecracker, "256M", &["--net", "allow", "--allow", &port])?;
    let address = OURS.0.to_string();
    let number = OURS.1.to_string();
    let exec = [
        "vm", "exec", "vm", "--", "sh", "-c", SEND, "sh", &address, &number,
    ];
    let mut sender = home.command(&exec);
    let _sender = Ended(sender.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    // The first of each is what waited since the start.
    for run in 0..=RUNS {
        let (theirs, mine) = (bare_sink.take()?, our_sink.take()?);
        if run > 0 {
            bare.push(theirs);
            ours.push(mine);
        }
    }
    let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    let figure = Figure::of("net.tap_vs_bare_ratio", &ratios)
        .under("firecracker")
        .phase("banger, Mbit/s", median_of(ours))
        .phase("bare, Mbit/s", median_of(bare));
    Ok(vec![figure])
}

/// Firecracker alone, with the same kernel and devices of the same kind.
fn start_bare(home: &Home, netns: &Netns) -> Result<Ended> {
    let tap = ["tuntap", "add", "bare0", "mode", "tap"];
    netns.ip(&tap)?;
    netns.ip(&["addr", "add", "10.99.0.1/30", "dev", "bare0"])?;
    netns.ip(&["link", "set", "bare0", "up"])?;
    let config = json!({
        "boot-source": {
            "kernel_image_path": home.path().join("data/kernels/test/vmlinux"),
            "boot_args": format!(
                "console=ttyS0 reboot=k pci=off root=/dev/vda ro init=/bare quiet panic=-1 {}",
                test_kernel_append()
            ),
        },
        "machine-config": { "vcpu_count": 1, "mem_size_mib": 256 },
        "drives": [
            { "drive_id": "disk0", "path_on_host": rootfs(home)?, "is_root_device": false, "is_read_only": true },
        ],
        "network-interfaces": [
            { "iface_id": "eth0", "host_dev_name": "bare0", "guest_mac": "06:00:0a:63:00:02" },
        ],
    });
    let file = home.path().join("bare.json");
    std::fs::write(&file, config.to_string())?;
    let vmm = Command::new("ip")
        .args([
            "netns",
            "exec",
            &netns.0,
            "firecracker",
            "--no-api",
            "--config-file",
        ])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start firecracker")?;
    Ok(Ended(vmm))
}

/// A process that is killed when this is dropped. `ip netns exec` becomes the program that it starts.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace of this measurement.
struct Netns(String);

impl Netns {
    fn new() -> Result<Self> {
        let netns = Self(format!("bb-net-{}", std::process::id()));
        ip(&["netns", "add", &netns.0])?;
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    fn ip(&self, args: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.0], args].concat())
    }

    /// A listener in it.
    fn sink(&self, port: u16) -> Result<Sink> {
        let netns = std::fs::File::open(Path::new("/run/netns").join(&self.0))?;
        let (listening, listener) = mpsc::channel();
        // A socket stays where it was made; this process does not move.
        std::thread::spawn(move || {
            let moved = move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network));
            let listener = moved
                .map_err(std::io::Error::from)
                .and_then(|()| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
            let _ = listening.send(listener);
        });
        Ok(Sink(listener.recv()??))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let pids = Command::new("ip").args(["netns", "pids", &self.0]).output();
        let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        for pid in pids.unwrap_or_default().split_whitespace() {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            // What runs there was started here: the helper.
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = ip(&["netns", "del", &self.0]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(args)
        .output()
        .context("failed to start ip")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {words}", args.join(" "));
    Ok(())
}

struct Sink(TcpListener);

impl Sink {
    /// Takes a connection and [`AMOUNT`] bytes of it, and gives how fast they came, in Mbit/s.
    fn take(&self) -> Result<f64> {
        let (mut stream, _) = self.0.accept()?;
        let (since, mut rest) = (Instant::now(), AMOUNT);
        let mut buffer = vec![0; 256 << 10];
        while rest > 0 {
            match stream.read(&mut buffer)? {
                0 => bail!("the stream ended {rest} bytes early"),
                read => rest = rest.saturating_sub(read),
            }
        }
        Ok(AMOUNT as f64 * 8.0 / since.elapsed().as_secs_f64() / 1e6)
    }
}
