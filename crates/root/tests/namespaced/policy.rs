//! What guests reach, line by line, in both families.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banger_model::network::{FlowRule, NetMode, Slot};
use banger_netplan::Answer;
use banger_netplan::Rules;
use banger_root::wire::Attach;

use crate::world::{Guest, LONG, World, mac, network, rules, serve_tcp};

/// A place of the Internet in both families.
const SITE: [&str; 2] = ["203.0.113.7", "2001:db8::7"];
const OTHER: [&str; 2] = ["203.0.113.8", "2001:db8::8"];
const DOH: [&str; 2] = ["1.1.1.1", "2606:4700:4700::1111"];
const PRIVATE: [&str; 6] = [
    "10.9.9.9",
    "192.168.7.7",
    "100.64.0.9",
    "169.254.169.254",
    "fd99::9",
    "fd00:ec2::254",
];
const HOST: [&str; 2] = ["198.51.100.2", "2001:db8:ffff::2"];

fn reaches(guest: &Guest, places: &[&str], port: u16) {
    for place in places {
        assert!(
            guest.tcp(place, port).is_some(),
            "{place} port {port} should be reached"
        );
        assert!(
            guest.udp(place, port),
            "{place} port {port} should be reached by UDP"
        );
    }
}

fn refused(guest: &Guest, places: &[&str], port: u16) {
    for place in places {
        assert!(
            guest.tcp_at_once(place, port).is_none(),
            "{place} port {port} should be refused"
        );
        assert!(
            !guest.udp_at_once(place, port),
            "{place} port {port} should be refused by UDP"
        );
    }
}

pub(crate) fn off_reaches_nothing() {
    let world = World::new();
    world.prepared();
    serve_tcp(&world.host, 8080);
    let guest = world.guest(
        0,
        rules(
            NetMode::Off,
            &[("203.0.113.0/24", None), ("203.0.113.7", Some(80))],
        ),
    );
    refused(&guest, &SITE, 80);
    refused(&guest, &PRIVATE[..1], 80);
    refused(&guest, &HOST, 8080);
}

pub(crate) fn nat_reaches_the_public_internet_as_the_host() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    assert_eq!(guest.tcp(SITE[0], 80), Some(HOST[0].parse().unwrap()));
    assert_eq!(guest.tcp(SITE[1], 80), Some(HOST[1].parse().unwrap()));
    reaches(&guest, &SITE, 443);
    reaches(&guest, &DOH, 443);
    reaches(&guest, &DOH, 53);
    refused(&guest, &PRIVATE, 80);
    // From outside nothing begins.
    world.internet.sh("ip route add 172.16.0.0/24 via 198.51.100.2");
    serve_tcp(&guest.netns, 7000);
    let to = (guest.address("0.0.0.0".parse().unwrap()), 7000).into();
    let wait = std::time::Duration::from_millis(600);
    assert!(
        world
            .internet
            .run(|| std::net::TcpStream::connect_timeout(&to, wait))
            .is_err()
    );
    // But from the host it does, by both addresses.
    for like in ["0.0.0.0", "::"] {
        let to = (guest.address(like.parse().unwrap()), 7000).into();
        world
            .host
            .run(|| std::net::TcpStream::connect_timeout(&to, LONG))
            .expect("the host reaches its guest");
    }
}

pub(crate) fn private_addresses_are_reached_only_when_named() {
    let world = World::new();
    world.prepared();
    let nets = [
        ("10.9.9.9", Some(80)),
        ("192.168.0.0/16", None),
        ("fd99::/16", Some(443)),
        ("169.254.169.254", Some(80)),
    ];
    let guest = world.guest(0, rules(NetMode::Nat, &nets));
    reaches(&guest, &["10.9.9.9", "192.168.7.7", "169.254.169.254"], 80);
    reaches(&guest, &["fd99::9"], 443);
    refused(&guest, &["10.9.9.9"], 443);
    refused(&guest, &["fd99::9", "fd00:ec2::254", "100.64.0.9"], 80);
    // Everything is not a name of anything private.
    let all = [("0.0.0.0/0", None), ("::/0", Some(80))];
    world
        .client()
        .policy(Slot(0), rules(NetMode::Allow, &all))
        .unwrap();
    reaches(&guest, &SITE, 80);
    refused(&guest, &PRIVATE, 80);
}

pub(crate) fn allow_reaches_what_is_listed() {
    let world = World::new();
    world.prepared();
    let nets = [
        ("203.0.113.7", Some(443)),
        ("2001:db8::7", None),
        ("1.0.0.0/8", None),
        ("2606:4700::/32", Some(443)),
    ];
    let guest = world.guest(0, rules(NetMode::Allow, &nets));
    reaches(&guest, &SITE, 443);
    refused(&guest, &SITE[..1], 80);
    reaches(&guest, &SITE[1..], 80);
    refused(&guest, &OTHER, 443);
    // Resolvers and their HTTPS ports are not what a block of addresses is about ...
    for port in [53, 853, 443] {
        refused(&guest, &DOH, port);
    }
    reaches(&guest, &DOH[..1], 80);
    // ... but one that is named to the port is.
    let nets = [("1.1.1.1", Some(443)), ("2606:4700:4700::1111", Some(53))];
    world
        .client()
        .policy(Slot(0), rules(NetMode::Allow, &nets))
        .unwrap();
    reaches(&guest, &DOH[..1], 443);
    reaches(&guest, &DOH[1..], 53);
}

pub(crate) fn answers_open_addresses_for_their_time() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Allow, &[]));
    refused(&guest, &SITE, 443);
    let answer = |address: &str, port, ttl| Answer {
        address: address.parse().unwrap(),
        port,
        ttl,
    };
    client
        .answers(
            Slot(0),
            vec![
                answer(SITE[0], Some(443), 600),
                answer(SITE[1], None, 600),
                answer(OTHER[0], None, 2),
            ],
        )
        .unwrap();
    reaches(&guest, &SITE, 443);
    refused(&guest, &SITE[..1], 80);
    reaches(&guest, &SITE[1..], 80);
    reaches(&guest, &OTHER[..1], 80);
    // Told again, it lives on; a rebuild does not forget what lives.
    client
        .answers(Slot(0), vec![answer(SITE[0], Some(443), 300)])
        .unwrap();
    client.rebuild().unwrap();
    reaches(&guest, &SITE, 443);
    std::thread::sleep(std::time::Duration::from_millis(2200));
    refused(&guest, &OTHER[..1], 80);
    // What a name may not stand for.
    for address in PRIVATE
        .iter()
        .chain(&["172.16.0.1", "127.0.0.1", "::1", "::ffff:10.0.0.1"])
    {
        let refusal = client
            .answers(Slot(0), vec![answer(address, None, 60)])
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("a name cannot allow it"), "{refusal}");
    }
}

pub(crate) fn learn_reaches_the_internet_and_is_recorded() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Learn, &[]));
    let mut flows = world.client().flows(|| Some(network())).unwrap();
    flows.socket.set_read_timeout(Some(LONG)).unwrap();
    reaches(&guest, &SITE, 443);
    refused(&guest, &DOH, 53);
    refused(&guest, &PRIVATE, 80);
    let mut seen = BTreeSet::new();
    // Each is told of once or more, in order.
    while seen.len() < SITE.len() + DOH.len() + PRIVATE.len() {
        let flow = flows.next().expect("a flow").expect("a flow");
        assert_eq!(flow.slot, Some(Slot(0)));
        assert_eq!(flow.source, Some(guest.address(flow.destination.unwrap())));
        let place = flow.destination.unwrap();
        let port = if DOH.map(|p| p.parse::<IpAddr>().unwrap()).contains(&place) {
            53
        } else {
            0
        };
        let (allowed, rule) = match (SITE.iter().any(|p| p.parse::<IpAddr>().unwrap() == place), port) {
            (true, _) => (true, FlowRule::Learn),
            (false, 53) => (false, FlowRule::Resolver),
            (false, _) => (false, FlowRule::Private),
        };
        assert_eq!((flow.allowed, flow.rule), (allowed, rule), "{flow:?}");
        assert!(flow.protocol == 6 || flow.protocol == 17);
        seen.insert(place);
    }
    let busy = world
        .client()
        .flows(|| Some(network()))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(busy.contains("failed to read the log of flows"), "{busy}");
    drop(flows);
}

pub(crate) fn learn_tells_of_connections_that_were_open_before() {
    use std::io::Write;
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let server = world
        .internet
        .run(|| std::net::TcpListener::bind(("::", 7777)))
        .unwrap();
    let mut stream = guest
        .netns
        .run(|| std::net::TcpStream::connect((SITE[0], 7777)))
        .unwrap();
    let _accepted = server.accept().unwrap();
    let mut flows = world.client().flows(|| Some(network())).unwrap();
    flows.socket.set_read_timeout(Some(LONG)).unwrap();
    client.policy(Slot(0), rules(NetMode::Learn, &[])).unwrap();
    stream.write_all(b"x").unwrap();
    let flow = flows.next().expect("a flow").expect("a flow");
    assert_eq!(
        (flow.allowed, flow.rule, flow.port),
        (true, FlowRule::Learn, Some(7777))
    );
    // Its later packets are no news: the next flow is another one.
    for _ in 0..10 {
        stream.write_all(b"x").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    reaches(&guest, &SITE[..1], 443);
    let flow = flows.next().expect("a flow").expect("a flow");
    assert_eq!(flow.port, Some(443));
}

pub(crate) fn guests_meet_only_by_name() {
    let world = World::new();
    let mut client = world.prepared();
    // Its own subnet in a rule is no VM's name.
    let one = world.guest(
        0,
        rules(
            NetMode::Nat,
            &[("172.16.0.0/24", None), ("172.16.0.3", Some(7000))],
        ),
    );
    let two = world.guest(1, rules(NetMode::Nat, &[]));
    serve_tcp(&two.netns, 7000);
    serve_tcp(&one.netns, 7000);
    let of = |guest: &Guest, like: &str| guest.address(like.parse().unwrap()).to_string();
    for like in ["0.0.0.0", "::"] {
        assert_eq!(one.tcp_at_once(&of(&two, like), 7000), None);
    }
    let peers = Rules {
        peers: [Slot(1)].into(),
        ..rules(NetMode::Allow, &[])
    };
    client.policy(Slot(0), peers).unwrap();
    for like in ["0.0.0.0", "::"] {
        assert_eq!(
            one.tcp(&of(&two, like), 7000),
            Some(one.address(like.parse().unwrap())),
            "as itself, not as the host"
        );
        assert_eq!(
            two.tcp_at_once(&of(&one, like), 7000),
            None,
            "the other way was not allowed"
        );
    }
    // Beside the host, on the bridge itself, there is no way: the gateway is told to be where the other guest is.
    one.netns.sh(&format!(
        "ip neigh replace 172.16.0.1 lladdr {} dev eth0 nud permanent",
        mac(1)
    ));
    assert_eq!(one.tcp_at_once(&of(&two, "0.0.0.0"), 7000), None);
}

pub(crate) fn the_host_is_reached_by_named_ports_alone() {
    let world = World::new();
    let mut client = world.prepared();
    let sockets = client.dns_sockets().unwrap();
    assert_eq!(sockets.len(), 4);
    let again = client.dns_sockets().unwrap();
    assert_eq!(
        again.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        sockets.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()
    );
    for (kind, socket) in sockets {
        if kind.tcp {
            let listener = std::net::TcpListener::from(socket);
            std::thread::spawn(move || {
                while let Ok((mut stream, peer)) = listener.accept() {
                    let _ = std::io::Write::write_all(&mut stream, peer.ip().to_string().as_bytes());
                }
            });
        } else {
            let socket = std::net::UdpSocket::from(socket);
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            });
        }
    }
    serve_tcp(&world.host, 8080);
    serve_tcp(&world.host, 9090);
    let gateways = [
        network().subnet.gateway().to_string(),
        network().ula.gateway().to_string(),
    ];
    let guest = world.guest(
        0,
        Rules {
            host_ports: [8080].into(),
            ..rules(NetMode::Nat, &[("198.51.100.2", Some(8080))])
        },
    );
    for gateway in &gateways {
        assert!(
            guest.tcp(gateway, 53).is_some() && guest.udp(gateway, 53),
            "DNS at {gateway}"
        );
        assert!(guest.tcp(gateway, 8080).is_some(), "{gateway}");
        assert!(guest.tcp_at_once(gateway, 9090).is_none(), "{gateway}");
    }
    // Its other addresses are not the gateway's.
    for address in HOST {
        assert!(guest.tcp_at_once(address, 8080).is_none(), "{address}");
    }
}

pub(crate) fn a_guest_is_only_itself() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let other = world.guest(1, rules(NetMode::Nat, &[]));
    reaches(&guest, &SITE, 80);
    let mut flows = world.client().flows(|| Some(network())).unwrap();
    flows.socket.set_read_timeout(Some(LONG)).unwrap();
    // Another guest's addresses.
    guest.netns.sh(&format!(
        "ip addr flush dev eth0; ip addr add {}/32 dev eth0; ip -6 addr add {}/128 dev eth0 nodad
         ip route replace 172.16.0.1 dev eth0 scope link; ip route replace default via 172.16.0.1 dev eth0
         ip -6 route replace {gw6} dev eth0; ip -6 route replace default via {gw6} dev eth0",
        other.address("0.0.0.0".parse().unwrap()),
        other.address("::".parse().unwrap()),
        gw6 = network().ula.gateway(),
    ));
    refused(&guest, &SITE, 80);
    let flow = flows
        .by_ref()
        .map(Result::unwrap)
        .find(|flow| !flow.allowed)
        .unwrap();
    assert_eq!(
        (flow.slot, flow.rule),
        (Some(Slot(0)), FlowRule::Spoofed),
        "told by where it came from: {flow:?}"
    );
    drop(flows);
    // The other one was not disturbed: nobody learnt its address elsewhere.
    reaches(&other, &SITE, 80);
    // Another hardware address, with its own network address.
    let guest = world.guest(2, rules(NetMode::Nat, &[]));
    reaches(&guest, &SITE, 80);
    guest.netns.sh("ip link set eth0 address 06:00:00:00:00:77");
    refused(&guest, &SITE, 80);
}

pub(crate) fn a_narrower_policy_ends_connections() {
    use std::io::{Read, Write};
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    let echo = world
        .internet
        .run(|| std::net::TcpListener::bind(("::", 7777)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in echo.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
        }
    });
    let connect = |to: &str| {
        let stream = guest
            .netns
            .run(|| std::net::TcpStream::connect((to, 7777)))
            .unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    };
    let echoes = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
    };
    let mut streams: Vec<_> = SITE.iter().chain(&OTHER).map(|to| connect(to)).collect();
    assert!(streams.iter_mut().all(echoes));
    client
        .policy(
            Slot(0),
            rules(NetMode::Allow, &[(SITE[0], Some(7777)), (SITE[1], None)]),
        )
        .unwrap();
    let live: Vec<bool> = streams.iter_mut().map(echoes).collect();
    assert_eq!(
        live,
        [true, true, false, false],
        "what is still allowed goes on, the rest ends"
    );
}

pub(crate) fn limits_are_said() {
    let world = World::lonely();
    let mut client = world.client();
    let attach = |slot: u16, mac_of: u16, rules: Rules| Attach {
        slot: Slot(slot),
        mac: mac(mac_of),
        rules,
    };
    let off = || rules(NetMode::Off, &[]);
    let mut said = vec![client.attach(attach(0, 0, off())).unwrap_err().to_string()];
    client.prepare(network()).unwrap();
    client.attach(attach(0, 0, off())).unwrap();
    said.push(client.attach(attach(253, 1, off())).unwrap_err().to_string());
    said.push(client.attach(attach(1, 0, off())).unwrap_err().to_string());
    let many = Rules {
        host_ports: (1..=257).collect(),
        ..off()
    };
    said.push(client.attach(attach(1, 1, many)).unwrap_err().to_string());
    said.push(client.policy(Slot(9), off()).unwrap_err().to_string());
    let moved = banger_model::network::Network {
        subnet: "172.16.1.0/24".parse().unwrap(),
        ..network()
    };
    said.push(client.prepare(moved).unwrap_err().to_string());
    client.detach(Slot(0)).unwrap();
    client.detach(Slot(0)).unwrap();
    world
        .host
        .sh("ip link add other type bridge; ip addr add 172.16.9.1/24 dev other; ip link set other up");
    let taken = banger_model::network::Network {
        subnet: "172.16.8.0/22".parse().unwrap(),
        ..network()
    };
    said.push(client.prepare(taken).unwrap_err().to_string());
    assert_eq!(
        said,
        [
            "no network is prepared",
            "slot 253 is beyond the 253 of the subnet",
            "06:00:00:00:00:00 is the address of the card of slot 0",
            "the rules of slot 1 are refused: 257 network rules are too many: a VM can have at most 256",
            "no VM is attached at slot 9",
            "VMs are attached to the current network: detach them before another network is prepared",
            "the network has no addresses: 172.16.8.0/22 overlaps 172.16.9.0/24, which this host reaches by a route",
        ]
    );
}
