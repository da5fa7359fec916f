//! Connections that are silent for long, and what becomes of those that conntrack has forgotten.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{NetMode, Slot};
use banger_netlink::{Message, array, received};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::egress::{SITE, SOON, connection, ip, says};
use crate::netns::Netns;
use crate::segments::{Packet, RST, Tap};
use crate::world::{Guest, LONG, World, rules};

/// The message that removes a connection; without one, all of them (linux/netfilter/nfnetlink_conntrack.h).
const DELETE: u16 = (1 << 8) | 2;

/// Lets conntrack forget every connection, as a restart of a firewall does, or a link that goes down.
fn forget(netns: &Netns) {
    let code = netns.run(|| {
        let mut socket = Socket::new(NETLINK_NETFILTER).unwrap();
        socket.bind_auto().unwrap();
        let message = Message::new(DELETE, libc::NLM_F_REQUEST | libc::NLM_F_ACK, &[0; 4]);
        socket.send(&message.numbered(1), 0).unwrap();
        let (answer, _) = socket.recv_from_full().unwrap();
        let first = received(&answer).next().unwrap();
        i32::from_ne_bytes(array(first.body, 0).unwrap())
    });
    assert_eq!(code, 0);
}

/// The guest says nothing more by TCP until [`goes_on`], and what it had said before has arrived: an acknowledgement on its way,
/// which a slow host delays, would bring back what the host has forgotten.
fn hushes(guest: &Guest, site: &str) {
    guest.netns.sh(
        "nft 'table inet hush { chain out { type filter hook output priority 0; meta l4proto tcp drop; }; }'",
    );
    // Frames overtake none on the guest's cable.
    assert!(guest.udp(site, 8080), "the guest's question");
}

fn goes_on(guest: &Guest) {
    guest.netns.sh("nft delete table inet hush");
}

/// A host that forgets idle connections after seconds; those of VMs may be idle for days, and the first word is the server's.
pub(crate) fn an_idle_connection_outlives_the_hosts_own_settings() {
    let world = World::new();
    world.prepared();
    world.host.sh(
        "for name in tcp_timeout_established udp_timeout udp_timeout_stream; do
         sysctl -qw net.netfilter.nf_conntrack_$name=1; done",
    );
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        assert!(says(&mut ours, &mut theirs));
        let server = world.internet.run(|| UdpSocket::bind((ip(site), 4444))).unwrap();
        let asking = guest
            .netns
            .run(|| UdpSocket::bind(SocketAddr::new(guest.address(ip(site)), 0)))
            .unwrap();
        asking.set_read_timeout(Some(LONG)).unwrap();
        asking.send_to(b"hello", (ip(site), 4444)).unwrap();
        let (_, back) = server.recv_from(&mut [0; 64]).unwrap();
        std::thread::sleep(Duration::from_millis(2500));
        assert!(says(&mut theirs, &mut ours), "the server is not heard");
        server.send_to(b"late", back).unwrap();
        asking.recv(&mut [0; 64]).expect("a late datagram");
    }
}

/// The server's word is not answered with a reset, and is heard when the guest has said something.
pub(crate) fn a_forgotten_connection_goes_on_with_the_guests_next_word() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        assert!(says(&mut ours, &mut theirs) && says(&mut theirs, &mut ours));
        hushes(&guest, site);
        forget(&world.host);
        let tap = Tap::new(&world.internet);
        let (server, outside) = (theirs.local_addr().unwrap(), theirs.peer_addr().unwrap());
        let is_reset = |packet: &Packet| packet.is_tcp_with(RST) && packet.is_tcp_of(outside, server);
        theirs.write_all(b"late!").unwrap();
        let seen = tap.seen(SOON, is_reset);
        assert!(!seen.iter().any(is_reset), "{seen:?}");
        ours.set_read_timeout(Some(SOON)).unwrap();
        ours.read_exact(&mut [0; 5])
            .expect_err("what nobody knows of is heard");
        // The next word of the guest's brings all of it back.
        goes_on(&guest);
        ours.set_read_timeout(Some(LONG)).unwrap();
        ours.write_all(b"there").unwrap();
        theirs.read_exact(&mut [0; 5]).expect("the guest's word");
        ours.read_exact(&mut [0; 5]).expect("the late answer");
        assert!(says(&mut ours, &mut theirs) && says(&mut theirs, &mut ours));
        refused(
            "egress",
            &format!("segment.forgotten.{}", if ip(site).is_ipv4() { 4 } else { 6 }),
        );
    }
}

/// The host has another address than the one by which the connection was made, as after a night in a bag: the server knows nothing
/// of it, and says so.
pub(crate) fn a_connection_of_an_address_that_is_gone_is_reset() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for (site, old, new) in [
        (SITE[0], "198.51.100.2/24", "198.51.100.3/24"),
        (SITE[1], "2001:db8:ffff::2/64", "2001:db8:ffff::3/64"),
    ] {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        assert!(says(&mut ours, &mut theirs));
        let (nodad, family, gateway) = match ip(site).is_ipv4() {
            true => ("", "-4", "198.51.100.1"),
            false => ("nodad", "-6", "2001:db8:ffff::1"),
        };
        world.host.sh(&format!(
            "ip addr del {old} dev wan; ip addr add {new} dev wan {nodad}
             ip {family} route replace default via {gateway}"
        ));
        ours.set_read_timeout(Some(LONG)).unwrap();
        let start = Instant::now();
        let ended = ours
            .write_all(b"there")
            .and_then(|()| ours.read_exact(&mut [0; 5]));
        let error = ended.expect_err("an answer from nowhere");
        assert_eq!(
            error.kind(),
            ErrorKind::ConnectionReset,
            "{site}: {error} after {:?}",
            start.elapsed()
        );
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        assert!(
            says(&mut ours, &mut theirs) && says(&mut theirs, &mut ours),
            "a new connection"
        );
    }
}

/// One that the rules no longer allow ends with a reset at the guest's next word, and does not hang; so does one that was forgotten.
pub(crate) fn a_connection_that_is_refused_later_is_reset() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        for is_forgotten in [false, true] {
            for (name, narrow) in [
                ("off", rules(NetMode::Off, &[])),
                ("allow", rules(NetMode::Allow, &[("192.0.2.1", None)])),
            ] {
                client.policy(Slot(0), rules(NetMode::Nat, &[])).unwrap();
                let (mut ours, mut theirs) = connection(&world, &guest, site);
                assert!(says(&mut ours, &mut theirs));
                client.policy(Slot(0), narrow).unwrap();
                if is_forgotten {
                    forget(&world.host);
                }
                let tap = Tap::new(&world.internet);
                let (server, outside) = (theirs.local_addr().unwrap(), theirs.peer_addr().unwrap());
                ours.set_read_timeout(Some(LONG)).unwrap();
                let ended = ours
                    .write_all(b"there")
                    .and_then(|()| ours.read_exact(&mut [0; 5]));
                let error = ended.expect_err("an answer");
                assert_eq!(
                    error.kind(),
                    ErrorKind::ConnectionReset,
                    "{site} {name} {is_forgotten}: {error}"
                );
                // Who is outside hears nothing of it.
                let is_its = |packet: &Packet| packet.is_tcp_of(outside, server);
                let seen = tap.seen(SOON, is_its);
                assert!(!seen.iter().any(is_its), "{seen:?}");
                refused(
                    "egress",
                    &format!(
                        "narrowed.{name}.reset.{is_forgotten}.{}",
                        if ip(site).is_ipv4() { 4 } else { 6 }
                    ),
                );
            }
        }
    }
}
