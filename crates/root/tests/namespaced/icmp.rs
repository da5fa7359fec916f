//! ICMP of the guest's own making: errors carry what their sender likes, and other kinds move hosts and routers.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use banger_cases::refused;
use banger_model::network::{NetMode, Slot};

use crate::egress::{HOST, SITE, SOON, connection, ip, says};
use crate::segments::{ACK, Packet, Tap, icmp, send, tcp, udp};
use crate::world::{LONG, World, network, rules};

/// Kinds and codes of errors: what they quote says which connection they are about.
const ERRORS: [&[[u8; 2]]; 2] = [
    // Unreachable, with fragmentation needed and prohibited; source quench; redirects; time exceeded; parameter problems.
    &[
        [3, 0],
        [3, 1],
        [3, 2],
        [3, 3],
        [3, 4],
        [3, 13],
        [4, 0],
        [5, 0],
        [5, 1],
        [11, 0],
        [11, 1],
        [12, 0],
    ],
    // Unreachable; too big; time exceeded; parameter problems; errors to be and redirects.
    &[
        [1, 0],
        [1, 1],
        [1, 3],
        [1, 4],
        [1, 5],
        [2, 0],
        [3, 0],
        [3, 1],
        [4, 0],
        [4, 2],
        [100, 0],
        [127, 0],
        [137, 0],
    ],
];
/// All others that a guest has no question by: answers, announcements, discovery, of networks' own use, and those to be.
const OTHERS: [&[[u8; 2]]; 2] = [
    &[
        [0, 0],
        [1, 0],
        [2, 0],
        [6, 0],
        [9, 0],
        [10, 0],
        [14, 0],
        [16, 0],
        [18, 0],
        [30, 0],
        [40, 0],
        [43, 0],
        [253, 0],
        [255, 0],
    ],
    &[
        [129, 0],
        [130, 0],
        [131, 0],
        [132, 0],
        [133, 0],
        [134, 0],
        [135, 0],
        [136, 0],
        [138, 0],
        [140, 0],
        [141, 0],
        [143, 0],
        [151, 0],
        [161, 0],
        [200, 0],
        [255, 0],
    ],
];

const fn at(address: IpAddr) -> (usize, u8) {
    if address.is_ipv4() { (0, 4) } else { (1, 6) }
}

/// An error of each kind about a packet, with four bytes that mean something in some of them: the size of packets, a router.
fn errors(from: IpAddr, to: IpAddr, about: &[u8]) -> impl Iterator<Item = ([u8; 2], Vec<u8>)> {
    let small = if from.is_ipv4() {
        [0, 0, 2, 0x40]
    } else {
        [0, 0, 5, 0]
    };
    let kinds = ERRORS[at(from).0].iter();
    kinds.map(move |&kind| {
        let head = if kind[0] == 5 { [198, 51, 100, 77] } else { small };
        (kind, icmp(from, to, kind, &[&head[..], about].concat()))
    })
}

pub(crate) fn errors_are_about_the_guests_own_connections() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Off, &[]));
    let peer = world.guest(1, rules(NetMode::Nat, &[]));
    for (site, host) in SITE.into_iter().zip(HOST) {
        let (site, host) = (ip(site), ip(host));
        let (family, number) = at(site);
        let own = guest.address(site);
        let socket = world.host.run(|| UdpSocket::bind((host, 0))).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.connect((site, 443)).unwrap();
        socket.send(b"hello").unwrap();
        socket.recv(&mut [0; 64]).unwrap();
        let hosts = socket.local_addr().unwrap();
        let far = SocketAddr::new(site, 443);
        let tap = Tap::new(&world.internet);
        let route = || world.host.ip(&format!("route get {site}"));
        let before = route();
        for mode in [NetMode::Off, NetMode::Nat, NetMode::Allow, NetMode::Learn] {
            client.policy(Slot(0), rules(mode, &[])).unwrap();
            // To the peer of the host's connection, as if it had got something from there.
            errors(own, site, &udp(far, hosts)).for_each(|(_, packet)| send(&guest.netns, site, &packet));
            let seen = tap.seen(SOON, Packet::is_marked);
            assert!(!seen.iter().any(Packet::is_marked), "{mode}: {seen:?}");
            // To the host, as if its peer could not be reached, or by smaller packets, or by another router.
            for (kind, packet) in errors(own, host, &udp(hosts, far)) {
                send(&guest.netns, host, &packet);
                socket.send(b"hello").unwrap();
                socket
                    .recv(&mut [0; 64])
                    .unwrap_or_else(|error| panic!("{kind:?} disturbs the host's connection: {error}"));
            }
            assert_eq!(route(), before, "the host's way to {site}");
            for [kind, code] in ERRORS[family] {
                refused(
                    "egress",
                    &format!("icmp.payload-to-hosts-peer.{mode}.{number}.{kind}-{code}"),
                );
                refused(
                    "egress",
                    &format!("icmp.ends-hosts-connection.{mode}.{number}.{kind}-{code}"),
                );
            }
        }
        // Nor about what another guest said.
        let (mut ours, mut theirs) = connection(&world, &peer, &site.to_string());
        assert!(says(&mut ours, &mut theirs));
        let (near, outside) = (theirs.local_addr().unwrap(), theirs.peer_addr().unwrap());
        let about = &tcp(near, outside, 1, 1, ACK)[..if number == 4 { 28 } else { 48 }];
        errors(own, site, about).for_each(|(_, packet)| send(&guest.netns, site, &packet));
        assert!(!tap.seen(SOON, Packet::is_marked).iter().any(Packet::is_marked));
        assert!(says(&mut theirs, &mut ours));
        refused("egress", &format!("icmp.about-another-guest.{number}"));
        // About its own it may speak: a port that it has closed.
        client.policy(Slot(0), rules(NetMode::Nat, &[])).unwrap();
        let server = world.internet.run(|| UdpSocket::bind((site, 4444))).unwrap();
        let asking = guest
            .netns
            .run(|| UdpSocket::bind(SocketAddr::new(own, 0)))
            .unwrap();
        asking.send_to(b"hello", (site, 4444)).unwrap();
        let (_, back) = server.recv_from(&mut [0; 64]).unwrap();
        drop(asking);
        server.send_to(b"too late", back).unwrap();
        assert!(
            tap.seen(LONG, Packet::is_error)
                .last()
                .is_some_and(Packet::is_error)
        );
    }
}

/// What is neither an error nor a question goes nowhere, and moves nothing on the host.
pub(crate) fn no_other_icmp_goes_out_or_moves_the_host() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let gateways = network().gateways();
    for (site, host) in SITE.into_iter().zip(HOST) {
        let (site, host) = (ip(site), ip(host));
        let (family, number) = at(site);
        let own = guest.address(site);
        let tap = Tap::new(&world.internet);
        let state = || {
            world
                .host
                .sh("ip route; ip -6 route; ip -6 addr show dev wan; ip neigh show nud permanent")
        };
        let before = state();
        for mode in [NetMode::Nat, NetMode::Learn, NetMode::Allow, NetMode::Off] {
            client.policy(Slot(0), rules(mode, &[])).unwrap();
            for to in [site, host, gateways[family]] {
                let kinds = OTHERS[family].iter().chain(ERRORS[family]);
                // A router with a prefix of the guest's, where it is one.
                let body = [
                    &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
                    &[3, 4, 64, 0xc0],
                    &[0xff; 8],
                    &[0; 4],
                    &[0x20; 16],
                ]
                .concat();
                kinds.for_each(|&kind| send(&guest.netns, to, &icmp(own, to, kind, &body)));
            }
            let seen = tap.seen(SOON, Packet::is_marked);
            assert!(!seen.iter().any(Packet::is_marked), "{mode}: {seen:?}");
            assert_eq!(state(), before, "{mode}");
            for [kind, code] in OTHERS[family] {
                refused("egress", &format!("icmp.other.{mode}.{number}.{kind}-{code}"));
            }
        }
        // A question does go out, so it would have been seen.
        client.policy(Slot(0), rules(NetMode::Nat, &[])).unwrap();
        let echo = [if number == 4 { 8 } else { 128 }, 0];
        send(&guest.netns, site, &icmp(own, site, echo, &[0, 7, 0, 1]));
        let seen = tap.seen(LONG, Packet::is_marked);
        assert!(seen.last().is_some_and(Packet::is_marked), "{seen:?}");
    }
}
