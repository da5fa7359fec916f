//! Frames of a guest's own making: none that says more than its card may gets any further than the card, and its owner is told of
//! each. So none of these rows holds by what the host's stack does with such packets.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{FlowRule, Mac, NetMode, Slot};
use banger_netplan::daemon::Flow;
use banger_root::Flows;

use crate::egress::{SITE, ip};
use crate::segments::{Packet, Tap, udp};
use crate::world::{Guest, LONG, World, mac, network, rules};

const ARP: u16 = 0x0806;
const PORT: u16 = 4444;
/// The filter tells of twenty such frames a second.
const PAUSE: Duration = Duration::from_millis(60);

fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to.octets()[..], &from.octets(), &kind.to_be_bytes(), payload].concat()
}

/// A datagram from whom one likes to a site.
fn datagram(to: Mac, from: Mac, source: &str, site: &str) -> Vec<u8> {
    let kind = if ip(site).is_ipv4() { 0x0800 } else { 0x86dd };
    let packet = udp(SocketAddr::new(ip(source), PORT), SocketAddr::new(ip(site), PORT));
    ethernet(to, from, kind, &packet)
}

fn arp(to: Mac, from: Mac, sender: (Mac, &str)) -> Vec<u8> {
    let IpAddr::V4(address) = ip(sender.1) else {
        panic!()
    };
    let gateway = network().subnet.gateway().octets();
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    let packet = [
        &head[..],
        &sender.0.octets(),
        &address.octets(),
        &[0; 6],
        &gateway,
        &[0; 18],
    ]
    .concat();
    ethernet(to, from, ARP, &packet)
}

/// The next frame that was refused as another's, if one is told of soon.
fn told(flows: &mut Flows) -> Option<Flow> {
    flows
        .socket
        .set_read_timeout(Some(Duration::from_millis(700)))
        .unwrap();
    flows.next()?.ok().filter(|flow| flow.rule == FlowRule::Spoofed)
}

/// What says another sender than the card's, in each place where one is said.
fn senders(guest: &Guest, other: &Guest) -> Vec<(String, Vec<u8>)> {
    let (own, others, gateway) = (
        mac(guest.slot),
        mac(other.slot),
        Mac::of_bridge(crate::world::OWNER),
    );
    let address = |guest: &Guest, like: &str| guest.address(ip(like)).to_string();
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (site, sources) in [
        (
            SITE[0],
            vec![
                address(other, "0.0.0.0"),
                network().subnet.gateway().to_string(),
                "172.16.0.200".to_owned(),
                "198.51.100.2".to_owned(),
                "203.0.113.8".to_owned(),
                "127.0.0.1".to_owned(),
                "255.255.255.255".to_owned(),
                "224.0.0.1".to_owned(),
                "10.9.9.9".to_owned(),
            ],
        ),
        (
            SITE[1],
            vec![
                address(other, "::"),
                network().ula.gateway().to_string(),
                "2001:db8:ffff::2".to_owned(),
                "2001:db8::8".to_owned(),
                "::1".to_owned(),
                "::ffff:10.0.0.1".to_owned(),
                "ff02::1".to_owned(),
                "fe80::1".to_owned(),
                mac(other.slot).link_local().to_string(),
            ],
        ),
    ] {
        let named = |source: &str| source.replace(':', "-");
        let of = |source: &str| datagram(gateway, own, source, site);
        all.extend(
            sources
                .iter()
                .map(|source| (format!("source.{}", named(source)), of(source))),
        );
        let honest = address(guest, site);
        let number = if ip(site).is_ipv4() { 4 } else { 6 };
        for (name, card) in [("other", others), ("gateway", gateway)] {
            all.push((
                format!("card.{name}.{number}"),
                datagram(gateway, card, &honest, site),
            ));
        }
    }
    let (mine, theirs) = (address(guest, "0.0.0.0"), address(other, "0.0.0.0"));
    for (name, frame) in [
        ("arp.address", arp(gateway, own, (own, &theirs))),
        ("arp.gateway", arp(gateway, own, (own, "172.16.0.1"))),
        ("arp.card-inside", arp(gateway, own, (others, &mine))),
        ("arp.card-outside", arp(gateway, others, (own, &mine))),
        ("arp.both", arp(gateway, others, (others, &theirs))),
    ] {
        all.push((name.to_owned(), frame));
    }
    all
}

/// What is neither IP nor ARP.
fn others(guest: &Guest) -> Vec<(String, Vec<u8>)> {
    let (own, gateway) = (mac(guest.slot), Mac::of_bridge(crate::world::OWNER));
    let kinds: [(&str, u16); 12] = [
        ("rarp", 0x8035),
        ("ipx", 0x8137),
        ("mpls", 0x8847),
        ("pppoe-discovery", 0x8863),
        ("pppoe", 0x8864),
        ("eapol", 0x888e),
        ("ata-over-ethernet", 0x88a2),
        ("lldp", 0x88cc),
        ("macsec", 0x88e5),
        ("batman", 0x4305),
        ("experiment", 0x88b5),
        ("spanning-tree", 38),
    ];
    let frame =
        |&(name, kind): &(&str, u16)| (format!("kind.{name}"), ethernet(gateway, own, kind, &[0x42; 60]));
    kinds.iter().map(frame).collect()
}

pub(crate) fn no_frame_says_more_than_its_card() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let other = world.guest(1, rules(NetMode::Nat, &[]));
    let mut flows = world.client().flows(|| Some(network())).unwrap();
    let tap = Tap::new(&world.internet);
    let is_one = |packet: &Packet| packet.protocol == 17 && packet.ports().is_some_and(|(_, to)| to == PORT);
    for (name, frame) in senders(&guest, &other).into_iter().chain(others(&guest)) {
        std::thread::sleep(PAUSE);
        guest.send_frame(&frame);
        let start = Instant::now();
        let flow = loop {
            // Another guest's own noise is told of, too.
            match told(&mut flows) {
                Some(flow) if flow.slot == Some(Slot(0)) => break Some(flow),
                None if start.elapsed() > LONG => break None,
                _ => {}
            }
        };
        assert!(
            flow.is_some_and(|flow| !flow.allowed),
            "{name} is not refused as another's"
        );
        refused("egress", &format!("frame.{name}"));
    }
    let seen = tap.seen(Duration::from_millis(300), is_one);
    assert!(!seen.iter().any(is_one), "{seen:?}");
    // From what it is, it goes out.
    for site in SITE {
        let own = guest.address(ip(site)).to_string();
        let gateway = Mac::of_bridge(crate::world::OWNER);
        guest.send_frame(&datagram(gateway, mac(0), &own, site));
        let seen = tap.seen(LONG, is_one);
        assert!(seen.last().is_some_and(is_one), "{seen:?}");
    }
}
