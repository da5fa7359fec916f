//! What concerns systemd as a guest's init: that it says when it is up, and that its power-off ends the machine.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdDatagram;

use banger_guest_api::InitState;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
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

/// Waits until root says that the guest is up. Every local user can send to the socket, which has no path.
async fn until_ready(notifications: OwnedFd) -> io::Result<()> {
    set_socket_passcred(&notifications, true)?;
    let socket = StdDatagram::from(notifications);
    socket.set_nonblocking(true)?;
    let socket = UnixDatagram::from_std(socket)?;
    let mut message = [0; 4096];
    loop {
        let (read, is_root) = socket
            .async_io(Interest::READABLE, || receive(&socket, &mut message))
            .await?;
        if is_root
            && message[..read]
                .split(|&byte| byte == b'\n')
                .any(|line| line == b"READY=1")
        {
            return Ok(());
        }
    }
}

/// One datagram, and whether root sent it: the kernel says who did.
fn receive(socket: &UnixDatagram, message: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(message)];
    let received = recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let is_root = ancillary
        .drain()
        .any(|message| matches!(message, RecvAncillaryMessage::ScmCredentials(who) if who.uid.is_root()));
    Ok((received.bytes, is_root))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever runs these is root: only root can be another user. `make test` runs them where it is.
    mod needs_root {
        use super::*;

        #[tokio::test]
        #[ignore = "needs root"]
        async fn only_root_says_that_the_guest_is_up() {
            let (ours, theirs) = StdDatagram::pair().unwrap();
            set_socket_passcred(&ours, true).unwrap();
            let nobody = theirs.try_clone().unwrap();
            let said = std::thread::spawn(move || {
                // This thread alone becomes another user.
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
                nobody.send(b"READY=1").unwrap();
            });
            said.join().unwrap();
            let waiting = tokio::spawn(until_ready(ours.into()));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(!waiting.is_finished());
            banger_cases::refused("guest-users", "systemd.ready-by-nobody");
            theirs.send(b"STATUS=x\nREADY=1").unwrap();
            waiting.await.unwrap().unwrap();
        }
    }
}
