//! What is done inside of a network namespace, by a thread that enters it.

use std::fs::File;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::netlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, sendto, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Does something in the namespace that a file is of.
///
/// # Errors
/// When it cannot be entered, or what is done fails.
pub fn within<T: Send + 'static>(
    netns: &Path,
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let file = File::open(netns).with_context(|| format!("open {}", netns.display()))?;
    let acting = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        act()
    });
    Ok(acting.join().map_err(|_| anyhow!("it panicked"))??)
}

/// Lets the kernel forget all connections there, as a firewall that is restarted does, or a link that goes down. It is conntrack's
/// message of deletion that names none (linux/netfilter/nfnetlink_conntrack.h).
///
/// # Errors
/// When the kernel refuses.
pub fn forget_connections(netns: &Path) -> Result<()> {
    const DELETE: [u8; 2] = [2, 1];
    const ASKED_AND_ACKNOWLEDGED: u16 = 5;
    let flags = ASKED_AND_ACKNOWLEDGED.to_ne_bytes();
    let message = [
        &20_u32.to_ne_bytes()[..],
        &DELETE,
        &flags,
        &1_u32.to_ne_bytes(),
        &[0; 8],
    ]
    .concat();
    let code = within(netns, move || {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        send(&socket, &message, SendFlags::empty())?;
        let mut answer = [0; 128];
        recv(&socket, &mut answer, RecvFlags::empty())?;
        Ok(i32::from_ne_bytes([
            answer[16], answer[17], answer[18], answer[19],
        ]))
    })?;
    ensure!(code == 0, "connections are not forgotten: {code}");
    Ok(())
}

/// Announces by a router's advertisement, to all on a link, that a prefix of 96 bits leads to IPv4 for so many seconds (RFC 8781).
///
/// # Errors
/// When it cannot be sent.
pub fn announce_translator(netns: &Path, link: &str, prefix: Ipv6Addr, seconds: u16) -> Result<()> {
    let index = std::process::Command::new("ip")
        .args(["netns", "exec"])
        .arg(netns.file_name().context("its name")?)
        .args(["cat", &format!("/sys/class/net/{link}/ifindex")])
        .output()?;
    let index: u32 = String::from_utf8_lossy(&index.stdout).trim().parse()?;
    let lifetime = (seconds & !7).to_be_bytes();
    // No router of anything else: a lifetime of zero.
    let head = [134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let message = [&head[..], &[38, 2], &lifetime, &prefix.octets()[..12]].concat();
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    within(netns, move || {
        let (family, kind) = (AddressFamily::INET6, SocketType::RAW);
        let socket = socket_with(
            family,
            kind,
            SocketFlags::CLOEXEC,
            Some(rustix::net::ipproto::ICMPV6),
        )?;
        // Who is further away announces nothing.
        sockopt::set_ipv6_multicast_hops(&socket, 255)?;
        let to = SocketAddrV6::new(nodes, 0, 0, index);
        sendto(&socket, &message, SendFlags::empty(), &to)?;
        Ok(())
    })
}
