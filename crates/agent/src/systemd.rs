//! What concerns systemd as a guest's init: that it says when it is up, and that its power-off ends the machine.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdDatagram;

use banger_guest_api::InitState;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::sync::watch;

/// Makes a power-off a reboot, which is how a guest ends its machine: Firecracker has no power to switch off, and its
/// guests would halt for ever. Written below `/run`, so that nothing of it stays in the image.
pub(crate) fn prepare() -> io::Result<()> {
    for unit in ["systemd-poweroff.service", "systemd-halt.service"] {
        let dir = format!("/run/systemd/system/{unit}.d");
        fs::create_dir_all(&dir)?;
        fs::write(
            format!("{dir}/50-banger.conf"),
            "[Unit]\nSuccessAction=reboot-force\n",
        )?;
    }
    Ok(())
}

/// Follows systemd's notifications (sd_notify(3)). A server that was started again may have missed the one that counts,
/// so it asks, once.
pub(crate) fn watch(notifications: OwnedFd, again: bool) -> watch::Receiver<InitState> {
    let (tell, states) = watch::channel(InitState::Booting);
    tokio::spawn(async move {
        if !(again && is_running().await) && until_ready(notifications).await.is_err() {
            // Without notifications the guest's state stays unknown: booting.
            return;
        }
        let failed = failed_units().await;
        tell.send_replace(if failed.is_empty() {
            InitState::Up
        } else {
            InitState::Degraded { failed }
        });
        // The receivers are told of no further state, and the stream stays open as long as the guest runs.
        tell.closed().await;
    });
    states
}

async fn until_ready(notifications: OwnedFd) -> io::Result<()> {
    let socket = StdDatagram::from(notifications);
    socket.set_nonblocking(true)?;
    let socket = UnixDatagram::from_std(socket)?;
    let mut message = [0; 4096];
    loop {
        let read = socket.recv(&mut message).await?;
        if message[..read]
            .split(|&byte| byte == b'\n')
            .any(|line| line == b"READY=1")
        {
            return Ok(());
        }
    }
}

async fn is_running() -> bool {
    let output = Command::new("systemctl").arg("is-system-running").output().await;
    output.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"running" | b"degraded"))
}

/// The names of the units that failed.
async fn failed_units() -> Vec<String> {
    let output = Command::new("systemctl")
        .args([
            "list-units",
            "--state=failed",
            "--plain",
            "--no-legend",
            "--no-pager",
        ])
        .output()
        .await;
    let Ok(output) = output else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
