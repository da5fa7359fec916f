//! Connections that are open when the rules change: of each kind, protocol and family, in both directions.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use banger_cases::refused;
use banger_model::network::{NetMode, Slot};
use banger_netplan::Answer;
use banger_netplan::Rules;
use banger_root::Client;

use crate::egress::{SITE, ip};
use crate::netns::Netns;
use crate::world::{LONG, World, network, rules};

const PORT: u16 = 7070;
const OTHER: u16 = 7071;
/// How long is waited for what does not come.
const MOMENT: Duration = Duration::from_millis(300);

/// One end of a connection.
enum End {
    Tcp(TcpStream),
    Udp(UdpSocket, SocketAddr),
}

impl End {
    fn say(&mut self) {
        // What is refused may be an error at once.
        match self {
            Self::Tcp(stream) => drop(stream.write_all(b"w")),
            Self::Udp(socket, to) => drop(socket.send_to(b"w", *to)),
        }
    }

    /// Whether a word comes in this time.
    fn hears(&mut self, time: Duration) -> bool {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(time)).unwrap();
                matches!(stream.read(&mut [0; 1]), Ok(1))
            }
            Self::Udp(socket, _) => {
                socket.set_read_timeout(Some(time)).unwrap();
                socket.recv(&mut [0; 16]).is_ok_and(|length| length > 0)
            }
        }
    }
}

/// A connection, the guest's end first.
fn connect(guest: (&Netns, IpAddr), server: (&Netns, IpAddr), is_tcp: bool) -> [End; 2] {
    let to = SocketAddr::new(server.1, PORT);
    if is_tcp {
        let listener = server.0.run(|| TcpListener::bind(to)).unwrap();
        let ours = guest.0.run(|| TcpStream::connect_timeout(&to, LONG)).unwrap();
        return [End::Tcp(ours), End::Tcp(listener.accept().unwrap().0)];
    }
    let theirs = server.0.run(|| UdpSocket::bind(to)).unwrap();
    let ours = guest
        .0
        .run(|| UdpSocket::bind(SocketAddr::new(guest.1, 0)))
        .unwrap();
    ours.send_to(b"", to).unwrap();
    theirs.set_read_timeout(Some(LONG)).unwrap();
    let (_, back) = theirs.recv_from(&mut [0; 1]).expect("the first datagram");
    [End::Udp(ours, to), End::Udp(theirs, back)]
}

fn both_hear([ours, theirs]: &mut [End; 2]) -> bool {
    // The server's word first: whether it is heard must not hang on what the guest has said since.
    theirs.say();
    let heard = ours.hears(LONG);
    ours.say();
    heard && theirs.hears(LONG)
}

fn nobody_hears([ours, theirs]: &mut [End; 2]) -> bool {
    theirs.say();
    ours.say();
    !ours.hears(MOMENT) && !theirs.hears(MOMENT)
}

/// What opens a connection, what still allows it and what does not, and what a name stands for meanwhile.
struct Kind {
    name: &'static str,
    opens: Rules,
    keeps: Vec<Rules>,
    ends: Vec<Rules>,
    answer: Option<Answer>,
}

fn kind(name: &'static str, opens: Rules, keeps: Vec<Rules>, ends: Vec<Rules>) -> Kind {
    let ends = [ends, vec![rules(NetMode::Off, &[])]].concat();
    Kind {
        name,
        opens,
        keeps,
        ends,
        answer: None,
    }
}

/// Those that lead outside.
fn outside(site: &'static str, net: &'static str) -> Vec<Kind> {
    let (nat, learn) = (rules(NetMode::Nat, &[]), rules(NetMode::Learn, &[]));
    let allow = |nets: &[_]| rules(NetMode::Allow, nets);
    let [exact, block, all, elsewhere] = [
        allow(&[(site, Some(PORT))]),
        allow(&[(net, None)]),
        allow(&[("0.0.0.0/0", Some(PORT)), ("::/0", Some(PORT))]),
        allow(&[(site, Some(OTHER)), ("192.0.2.0/24", None)]),
    ];
    let closed = vec![elsewhere, allow(&[])];
    let answer = Answer {
        address: ip(site),
        port: Some(PORT),
        ttl: 600,
    };
    vec![
        kind(
            "nat",
            nat.clone(),
            vec![learn.clone(), exact.clone(), all.clone()],
            closed.clone(),
        ),
        kind("learn", learn, vec![nat.clone(), block.clone()], closed.clone()),
        kind(
            "exact",
            exact.clone(),
            vec![block.clone(), nat.clone()],
            closed.clone(),
        ),
        kind(
            "block",
            block.clone(),
            vec![exact.clone(), all.clone()],
            closed.clone(),
        ),
        kind("all", all, vec![exact, block], closed.clone()),
        Kind {
            answer: Some(answer),
            ..kind(
                "answer",
                allow(&[]),
                vec![allow(&[("192.0.2.0/24", None)]), nat],
                closed,
            )
        },
    ]
}

/// A change of the rules, after which the owner's daemon says again what names still stand for.
fn change(client: &mut Client, rules: &Rules, answer: Option<Answer>) {
    client.policy(Slot(0), rules.clone()).unwrap();
    if let Some(answer) = answer.filter(|_| rules.mode != NetMode::Off) {
        client.answers(Slot(0), vec![answer]).unwrap();
    }
}

fn holds(client: &mut Client, kind: &Kind, open: impl Fn(bool) -> [End; 2], number: u8) {
    for is_tcp in [true, false] {
        let protocol = if is_tcp { "tcp" } else { "udp" };
        let name = format!("{}.{protocol}.{number}", kind.name);
        for (nth, ends) in kind.ends.iter().enumerate() {
            change(client, &kind.opens, kind.answer);
            let mut ends_of_it = open(is_tcp);
            assert!(both_hear(&mut ends_of_it), "{name}");
            for keeps in &kind.keeps {
                change(client, keeps, kind.answer);
                assert!(both_hear(&mut ends_of_it), "{name} is still allowed by {keeps:?}");
            }
            change(client, ends, None);
            assert!(nobody_hears(&mut ends_of_it), "{name} goes on under {ends:?}");
            refused("egress", &format!("open.{name}.{nth}"));
        }
    }
}

pub(crate) fn what_is_open_outside_follows_the_rules() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Off, &[]));
    for (site, net) in SITE.into_iter().zip(["203.0.112.0/23", "2001:db8::/48"]) {
        let site_of = ip(site);
        let number = if site_of.is_ipv4() { 4 } else { 6 };
        let open = |is_tcp| {
            connect(
                (&guest.netns, guest.address(site_of)),
                (&world.internet, site_of),
                is_tcp,
            )
        };
        for kind in outside(site, net) {
            holds(&mut client, &kind, open, number);
        }
    }
    assert_eq!(client.audit().unwrap(), []);
}

pub(crate) fn what_is_open_to_the_host_or_another_guest_follows_the_rules() {
    let world = World::new();
    let mut client = world.prepared();
    let guest = world.guest(0, rules(NetMode::Off, &[]));
    let peer = world.guest(1, rules(NetMode::Off, &[]));
    let peers = |mode| Rules {
        peers: [Slot(1)].into(),
        ..rules(mode, &[])
    };
    let hosts = |mode, ports: &[u16]| Rules {
        host_ports: ports.iter().copied().collect(),
        ..rules(mode, &[])
    };
    let (nat, allow) = (rules(NetMode::Nat, &[]), rules(NetMode::Allow, &[]));
    let peer_kind = || {
        let wide = rules(NetMode::Allow, &[("0.0.0.0/0", None), ("::/0", None)]);
        kind(
            "peer",
            peers(NetMode::Allow),
            vec![peers(NetMode::Nat)],
            vec![nat.clone(), wide],
        )
    };
    let host_kind = || {
        let both = hosts(NetMode::Nat, &[PORT, OTHER]);
        let ends = vec![nat.clone(), allow.clone(), hosts(NetMode::Allow, &[OTHER])];
        kind("host", hosts(NetMode::Allow, &[PORT]), vec![both], ends)
    };
    for gateway in network().gateways() {
        let number = if gateway.is_ipv4() { 4 } else { 6 };
        let (own, other) = (guest.address(gateway), peer.address(gateway));
        let to_peer = |is_tcp| connect((&guest.netns, own), (&peer.netns, other), is_tcp);
        holds(&mut client, &peer_kind(), to_peer, number);
        let to_host = |is_tcp| connect((&guest.netns, own), (&world.host, gateway), is_tcp);
        holds(&mut client, &host_kind(), to_host, number);
        // What the host opens is the host's, whatever the rules are.
        for is_tcp in [true, false] {
            let mut from_host = connect((&world.host, gateway), (&guest.netns, own), is_tcp);
            for rules in [&nat, &allow, &rules(NetMode::Off, &[])] {
                change(&mut client, rules, None);
                assert!(
                    both_hear(&mut from_host),
                    "the host's own connection under {rules:?}"
                );
            }
        }
    }
}
