//! The guest's network: its loopback interface, and the one card that the host may have given it.
//!
//! All is asked of the kernel by netlink before the image's init runs, so no image needs a tool for it, and the network is
//! there when the first command is. `services` keeps the image's own programs from doing it again in their way, and
//! `names` tells the C library and systemd-resolved whom to ask.

pub(super) mod names;
mod route;
pub(super) mod services;
mod socket;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banger_guest_api::{Failure, Network};

use self::socket::{Netlink, Request};
use crate::failure::{During, refused};

/// How long the card may take to appear. Its module is loaded when this begins, and most often it is there.
const APPEARS: Duration = Duration::from_secs(5);

/// The loopback interface is the first of every network namespace (`LOOPBACK_IFINDEX` of the kernel's `include/net/flow.h`).
const LOOPBACK: u32 = 1;

/// The card, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its interface's name: `eth0`.
    pub name: String,
    /// Whether the kernel has IPv6 on it. Otherwise the guest has its IPv4 addresses alone.
    pub ipv6: bool,
}

/// Brings the loopback interface up, which the kernel leaves down.
pub(super) fn loopback_up() -> Result<(), Failure> {
    let netlink = Netlink::new().during("configure the network")?;
    netlink.ask(vec![Request(
        "bring the loopback interface up".to_owned(),
        route::up(LOOPBACK),
    )])
}

/// Finds the card and gives it all that `network` says. It is up and its addresses are usable when this returns.
///
/// # Errors
/// When there is no such card, or the kernel refuses something.
pub fn bring_up(network: &Network) -> Result<Card, Failure> {
    let mac = parse(&network.mac)?;
    let netlink = Netlink::of_links().during("find the network card")?;
    let found = netlink.await_link(mac, APPEARS).during("find the network card")?;
    let link = found.ok_or_else(|| missing(&network.mac))?;
    let card = Card {
        ipv6: prepare_ipv6(&link.name).during(format!("prepare IPv6 on {}", link.name))?,
        name: link.name,
    };
    if !card.ipv6 {
        eprintln!("banger: this kernel has no IPv6 on {}", card.name);
    }
    // Another socket: this one hears of links.
    Netlink::new()
        .during("configure the network")?
        .ask(requests(link.index, &card, network))?;
    Ok(card)
}

fn requests(index: u32, card: &Card, network: &Network) -> Vec<Request> {
    let Card { name, .. } = card;
    let mtu = network.mtu;
    let up = Request(
        format!("bring {name} up with an MTU of {mtu}"),
        route::up_with_mtu(index, mtu),
    );
    let addresses = card.usable(&network.addresses).map(|address| {
        Request(
            format!("add the address {address} to {name}"),
            route::address(index, address),
        )
    });
    let routes = card.usable(&network.gateways).map(|gateway| {
        Request(
            format!("add a route through {gateway} on {name}"),
            route::default_route(index, gateway),
        )
    });
    [up].into_iter().chain(addresses).chain(routes).collect()
}

impl Card {
    /// Those of these addresses whose family the kernel has.
    fn usable(&self, addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
        addresses
            .iter()
            .copied()
            .filter(|address| self.ipv6 || address.is_ipv4())
    }
}

fn missing(mac: &str) -> Failure {
    refused(format!(
        "no network card with the address {mac} appeared within {} seconds: the guest's kernel may have no virtio_net",
        APPEARS.as_secs()
    ))
}

fn parse(mac: &str) -> Result<[u8; 6], Failure> {
    let bytes: Option<Vec<u8>> = mac
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| refused(format!("invalid MAC address `{mac}`")))
}

/// Has the kernel take nothing from routers on a link, and use its addresses at once (the kernel's
/// `networking/ip-sysctl`); to be done before it is up. False when there is no IPv6 on the link.
fn prepare_ipv6(link: &str) -> io::Result<bool> {
    let settings: PathBuf = Path::new("/proc/sys/net/ipv6/conf").join(link);
    let disabled = match fs::read_to_string(settings.join("disable_ipv6")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        disabled => disabled?,
    };
    if disabled.trim() != "0" {
        return Ok(false);
    }
    for setting in ["accept_ra", "accept_dad"] {
        fs::write(settings.join(setting), "0")?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_six_bytes() {
        assert_eq!(parse("06:00:ac:10:00:02").unwrap(), [6, 0, 0xac, 0x10, 0, 2]);
        for wrong in ["", "06:00:ac:10:00", "06:00:ac:10:00:02:03", "06:00:ac:10:00:xx"] {
            let failure = parse(wrong).unwrap_err();
            assert_eq!(failure.message, format!("invalid MAC address `{wrong}`"));
        }
    }
}
