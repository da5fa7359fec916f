//! A hostile guest, a hostile peer, and networks as they are: segments by hand, late answers, narrow links, neighbours.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{FlowRule, NetMode, Slot};
use banger_netplan::Answer;

use crate::segments::{ACK, Packet, RST, SYN, Tap, send, tcp};
use crate::world::{Guest, LONG, World, network, rules};

pub(crate) const SITE: [&str; 2] = ["203.0.113.7", "2001:db8::7"];
pub(crate) const HOST: [&str; 2] = ["198.51.100.2", "2001:db8:ffff::2"];
const PORT: u16 = 7777;
/// How long is waited for what is not to come.
pub(crate) const SOON: Duration = Duration::from_millis(400);

/// A connection from a guest: its end, and the server's.
pub(crate) fn connection(world: &World, guest: &Guest, to: &str) -> (TcpStream, TcpStream) {
    let to: IpAddr = to.parse().unwrap();
    let listener = world.internet.run(|| TcpListener::bind((to, PORT))).unwrap();
    let ours = guest
        .netns
        .run(|| TcpStream::connect((to, PORT)))
        .expect("connect");
    let (theirs, _) = listener.accept().unwrap();
    for stream in [&ours, &theirs] {
        stream.set_read_timeout(Some(LONG)).unwrap();
    }
    (ours, theirs)
}

pub(crate) fn says(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"hello").is_ok() && to.read_exact(&mut [0; 5]).is_ok()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What passt sends as a window update, what comes too late, and nonsense: none of it is answered, neither to the peer nor by
/// ending the connection.
pub(crate) fn segments_that_conntrack_refuses_end_no_connection() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        let tap = Tap::new(&world.internet);
        assert!(says(&mut ours, &mut theirs));
        let (from, to) = (theirs.local_addr().unwrap(), theirs.peer_addr().unwrap());
        let is_its = move |packet: &Packet| packet.is_tcp_with(ACK) && packet.is_tcp_of(to, from);
        let last = tap.seen(LONG, is_its).pop().expect("a segment of the connection");
        let (seq, ack) = last.numbers().unwrap();
        for (name, seq, ack, flags) in [
            ("no-flags", ack, seq, 0),
            ("no-flags-late", ack.wrapping_sub(1), seq.wrapping_add(5), 0),
            (
                "far-ahead",
                ack.wrapping_add(0x4000_0000),
                seq.wrapping_add(5),
                ACK,
            ),
            (
                "far-behind",
                ack.wrapping_sub(0x4000_0000),
                seq.wrapping_add(5),
                ACK,
            ),
            ("all-flags", ack, seq, 0x3f),
            ("syn-fin", ack, seq, 0x03),
            ("push-alone", ack, seq, 0x08),
            ("urgent-alone", ack, seq, 0x20),
        ] {
            send(&world.internet, to.ip(), &tcp(from, to, seq, ack, flags));
            // One of these has the flag itself.
            let is_reset = |packet: &Packet| packet.from == to.ip() && packet.is_tcp_with(RST);
            let seen = tap.seen(SOON, is_reset);
            assert!(!seen.iter().any(is_reset), "{name}: {seen:?}");
            assert!(
                says(&mut ours, &mut theirs) && says(&mut theirs, &mut ours),
                "{name}"
            );
            refused(
                "egress",
                &format!("segment.{name}.{}", if from.is_ipv4() { 4 } else { 6 }),
            );
        }
        // The host's other traffic is as it was: it says that there is no such connection.
        let other = SocketAddr::new(to.ip(), 9);
        send(&world.internet, to.ip(), &tcp(from, other, 1, 1, 0));
        let answers = tap.seen(LONG, |packet| packet.is_tcp_with(RST));
        assert!(answers.last().is_some_and(|packet| packet.is_tcp_with(RST)));
    }
}

pub(crate) fn a_half_closed_connection_waits_for_its_answer() {
    let world = World::new();
    world.prepared();
    // An impatient host.
    world.host.sh(
        "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close_wait=1 net.netfilter.nf_conntrack_tcp_timeout_fin_wait=1",
    );
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        ours.write_all(b"question").unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let mut question = String::new();
        theirs.read_to_string(&mut question).unwrap();
        std::thread::sleep(Duration::from_millis(2500));
        theirs.write_all(b"answer").unwrap();
        drop(theirs);
        let mut answer = String::new();
        ours.read_to_string(&mut answer).expect("the answer");
        assert_eq!((question.as_str(), answer.as_str()), ("question", "answer"));
    }
}

/// A way out that is narrower than the bridge: segments fit it from the first.
pub(crate) fn segments_fit_a_narrow_uplink() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    world.host.ip("link set wan mtu 1340");
    for (site, largest) in [(SITE[0], 1300), (SITE[1], 1280)] {
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        let mut size: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the kernel writes one number of this length, which lives here.
        let got = unsafe {
            libc::getsockopt(
                theirs.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_MAXSEG,
                (&raw mut size).cast(),
                &raw mut length,
            )
        };
        assert!(got == 0 && size <= largest, "segments of {size} bytes to {site}");
        // And what the guest sends: the host says how much fits.
        let sent = vec![7; 200_000];
        let sending = std::thread::spawn(move || ours.write_all(&sent).map(|()| ours));
        theirs.read_exact(&mut vec![0; 200_000]).expect("all of it");
        sending.join().unwrap().unwrap();
    }
}

/// A narrower policy ends what comes in, too, and a change that still allows a connection lets a silent guest hear on.
pub(crate) fn a_change_holds_for_what_comes_in() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    for site in SITE {
        let number = if ip(site).is_ipv4() { 4 } else { 6 };
        client.policy(Slot(0), rules(NetMode::Nat, &[])).unwrap();
        let (mut ours, mut theirs) = connection(&world, &guest, site);
        let server = world.internet.run(|| UdpSocket::bind((ip(site), 4444))).unwrap();
        let any = guest.address(ip(site));
        let asking = guest.netns.run(|| UdpSocket::bind((any, 0))).unwrap();
        asking.set_read_timeout(Some(LONG)).unwrap();
        asking.send_to(b"hello", (ip(site), 4444)).unwrap();
        let (_, back) = server.recv_from(&mut [0; 64]).unwrap();
        assert!(says(&mut theirs, &mut ours));
        for narrow in [
            rules(NetMode::Allow, &[(site, None)]),
            rules(NetMode::Allow, &[(site, Some(PORT)), (site, Some(4444))]),
            rules(NetMode::Learn, &[]),
        ] {
            client.policy(Slot(0), narrow).unwrap();
            assert!(says(&mut theirs, &mut ours), "what is still allowed is heard");
            server.send_to(b"on", back).unwrap();
            asking.recv(&mut [0; 64]).expect("a datagram");
        }
        ours.set_read_timeout(Some(SOON)).unwrap();
        asking.set_read_timeout(Some(SOON)).unwrap();
        for (name, narrow) in [
            ("allow", rules(NetMode::Allow, &[("192.0.2.1", None)])),
            ("off", rules(NetMode::Off, &[])),
        ] {
            client.policy(Slot(0), narrow).unwrap();
            assert!(!says(&mut theirs, &mut ours), "{name}: something comes in");
            server.send_to(b"more", back).unwrap();
            asking.recv(&mut [0; 64]).expect_err("a datagram comes in");
            refused("egress", &format!("narrowed.{name}.incoming.{number}"));
        }
    }
}

/// Every network that the host is on, from the moment on that it is.
pub(crate) fn neighbours_are_refused_unless_named() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let answer = |address: &str| Answer {
        address: ip(address),
        port: None,
        ttl: 60,
    };
    let nets = ["203.0.113.0/24", "2001:db8::/64"];
    for (site, net) in SITE.into_iter().zip(nets) {
        assert!(guest.tcp(site, 80).is_some(), "{site} is nobody's neighbour yet");
        client.answers(Slot(0), vec![answer(site)]).unwrap();
        let mut flows = world.client().flows(|| Some(network())).unwrap();
        // The route stays, so that the site is reached as before.
        let own = net.replace(".0/", ".250/").replace("::/", "::250/");
        // Nor is it an address that the host would speak from.
        let unused = if ip(site).is_ipv6() { "preferred_lft 0" } else { "" };
        world
            .host
            .ip(&format!("addr add {own} dev wan noprefixroute {unused}"));
        // The helper hears of it, in its time. Who asks all the time meanwhile has so many connections to be reported that the one
        // which is refused is left out.
        let start = Instant::now();
        std::thread::sleep(SOON);
        while guest.tcp_at_once(site, 80).is_some() {
            assert!(start.elapsed() < LONG, "{site} is a neighbour");
            std::thread::sleep(SOON);
        }
        let is_denied =
            |flow: &banger_netplan::daemon::Flow| !flow.allowed && flow.destination == Some(ip(site));
        let flow = flows.by_ref().map(Result::unwrap).find(is_denied).unwrap();
        assert_eq!(flow.rule, FlowRule::Neighbour);
        drop(flows);
        for (name, nets) in [
            ("nat", rules(NetMode::Nat, &[])),
            ("learn", rules(NetMode::Learn, &[])),
            (
                "everything",
                rules(NetMode::Allow, &[("0.0.0.0/0", None), ("::/0", None)]),
            ),
            (
                "wider",
                rules(NetMode::Nat, &[("203.0.0.0/8", None), ("2001:db8::/32", None)]),
            ),
        ] {
            client.policy(Slot(0), nets).unwrap();
            assert!(guest.tcp_at_once(site, 80).is_none(), "{site} with {name}");
            refused(
                "egress",
                &format!("neighbour.{name}.{}", if ip(site).is_ipv4() { 4 } else { 6 }),
            );
        }
        // Not by a name.
        let said = client
            .answers(Slot(0), vec![answer(site)])
            .unwrap_err()
            .to_string();
        assert!(said.contains("a name cannot allow it"), "{said}");
        for named in [(site, Some(80)), (net, None)] {
            client.policy(Slot(0), rules(NetMode::Allow, &[named])).unwrap();
            assert!(guest.tcp(site, 80).is_some(), "{site} is named by {}", named.0);
        }
        world.host.ip(&format!("addr del {own} dev wan"));
        client.policy(Slot(0), rules(NetMode::Nat, &[])).unwrap();
        let start = Instant::now();
        while guest.tcp_at_once(site, 80).is_none() {
            assert!(start.elapsed() < LONG, "{site} is no neighbour any more");
            std::thread::sleep(SOON);
        }
    }
    assert_eq!(client.audit().unwrap(), []);
}

/// Private networks behind NAT64, and what clouds serve at addresses that look public.
pub(crate) fn embedded_and_cloud_addresses_are_refused() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let inside = [
        "168.63.129.16",
        "161.26.0.10",
        "192.0.0.192",
        "100.100.100.200",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::a00:1",
        "2002:a00:1::1",
        "2001:0:a00:1::1",
        "2001:db8:5:0:0:5efe:a00:1",
        "2001:db8:5:0:200:5efe:a00:1",
        "5f00::1",
        "fd20:ce::254",
    ];
    // What it embeds is public.
    let public = "64:ff9b::5db8:d822";
    world.host.sh(
        "ip -6 route add 64:ff9b::/32 via 2001:db8:ffff::1; ip -6 route add 2001::/16 via 2001:db8:ffff::1",
    );
    for address in inside.iter().chain([&public]) {
        let (bits, nodad) = if address.contains(':') {
            (128, "nodad")
        } else {
            (32, "")
        };
        world
            .internet
            .ip(&format!("addr add {address}/{bits} dev lo {nodad}"));
    }
    for mode in [NetMode::Nat, NetMode::Learn] {
        client
            .policy(Slot(0), rules(mode, &[("0.0.0.0/0", None), ("::/0", None)]))
            .unwrap();
        for address in inside {
            assert_eq!(guest.tcp_at_once(address, 80), None, "{address} in {mode}");
            refused("egress", &format!("inside.{mode}.{}", address.replace(':', "-")));
        }
        assert!(guest.tcp(public, 80).is_some(), "{mode}");
    }
    // Each is reached when it is named.
    client
        .policy(
            Slot(0),
            rules(
                NetMode::Allow,
                &[("168.63.129.16", Some(80)), ("64:ff9b::a00:0/120", None)],
            ),
        )
        .unwrap();
    assert!(guest.tcp("168.63.129.16", 80).is_some() && guest.tcp("64:ff9b::a00:1", 80).is_some());
}

/// Segments of the guest's own making, to where it may go and to where it may not.
pub(crate) fn a_guest_opens_nothing_by_odd_segments() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Allow, &[("203.0.113.7", Some(80))]));
    let tap = Tap::new(&world.internet);
    let from = SocketAddr::new(guest.address(ip(SITE[0])), 4000);
    for (name, to, port, flags) in [
        ("ack", "203.0.113.8", 80, ACK),
        ("syn-ack", "203.0.113.8", 80, SYN | ACK),
        ("rst", "203.0.113.8", 80, RST),
        ("none", "203.0.113.8", 80, 0),
        ("ack-other-port", "203.0.113.7", 81, ACK),
        ("none-allowed", "203.0.113.7", 80, 0),
    ] {
        let to = SocketAddr::new(ip(to), port);
        send(&guest.netns, to.ip(), &tcp(from, to, 1, 1, flags));
        let reached = |packet: &Packet| packet.protocol == 6 && packet.to == to.ip();
        let seen = tap.seen(Duration::from_millis(250), reached);
        assert!(!seen.iter().any(reached), "{name}: {seen:?}");
        refused("egress", &format!("odd-segment.{name}"));
    }
    assert_eq!(network().slot(from.ip()), Some(Slot(0)));
}

/// What a name opened under the rules before is closed by the rules after them.
pub(crate) fn a_change_forgets_what_names_resolved_to() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Allow, &[]));
    for (site, port) in [(SITE[0], None), (SITE[1], Some(80))] {
        let answer = Answer {
            address: ip(site),
            port,
            ttl: 3600,
        };
        client.answers(Slot(0), vec![answer]).unwrap();
        assert!(guest.tcp(site, 80).is_some());
        client
            .policy(Slot(0), rules(NetMode::Allow, &[("192.0.2.1", None)]))
            .unwrap();
        assert_eq!(guest.tcp_at_once(site, 80), None);
        client.rebuild().unwrap();
        assert_eq!(guest.tcp_at_once(site, 80), None);
        refused(
            "egress",
            &format!("narrowed.name.{}", if ip(site).is_ipv4() { 4 } else { 6 }),
        );
    }
}
