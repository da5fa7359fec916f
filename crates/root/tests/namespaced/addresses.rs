//! The range is root's decision, and nothing that the host uses is shadowed: neither what is there before, nor what comes later.

use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{NetMode, Network, Slot};
use banger_root::wire::{Attach, FailureCode, Status};
use banger_root::{CallError, Client};

use crate::world::{OWNER, World, mac, network, rules};

const PATIENCE: Duration = Duration::from_secs(20);

fn attach(slot: u16) -> Attach {
    Attach {
        slot: Slot(slot),
        mac: mac(slot),
        rules: rules(NetMode::Nat, &[]),
    }
}

/// Waits until the network is withdrawn, or there again.
fn until(world: &World, withdrawn: bool, when: &str) -> Status {
    let start = Instant::now();
    loop {
        let status = world.client().status().unwrap();
        if status.withdrawn.is_some() == withdrawn {
            return status;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{when}: {:?}\n{}",
            status.withdrawn,
            world.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_conflict(result: Result<impl std::fmt::Debug, CallError>, when: &str) -> String {
    match result {
        Err(CallError::Failed(failure)) if failure.code == FailureCode::Conflict => failure.message,
        other => panic!("{when}: {other:?}"),
    }
}

/// What the bridge has, and whether it is up.
fn bridge(world: &World) -> (String, bool) {
    let addresses = world
        .host
        .sh("ip -br addr show dev bgr39u | grep -oE '172[^ ]*|fd[^ ]*' || true");
    let up = world.host.sh("ip link show dev bgr39u").contains(",UP");
    (addresses, up)
}

/// Before a network is prepared, and while a VM is attached.
fn tried(world: &World, name: &str, words: &str, act: &dyn Fn(), undo: &dyn Fn()) {
    act();
    let told = is_conflict(world.client().prepare(network()), name);
    assert!(told.contains(words), "{name}: {told}");
    undo();
    let mut client = world.prepared();
    client.attach(attach(0)).unwrap();
    let had = bridge(world);
    assert!(had.0.contains("172.16.0.1/24") && had.1, "{had:?}");
    act();
    let why = until(world, true, name).withdrawn.unwrap();
    assert!(why.contains(words), "{name}: {why}");
    assert_eq!(bridge(world), (String::new(), false), "{name}");
    assert!(is_conflict(client.attach(attach(1)), name).contains(words));
    is_conflict(client.dns_sockets().map(|_| ()), name);
    let found = client.audit().unwrap();
    assert!(
        found.len() == 1 && found[0].problem.contains("withdrawn") && found[0].problem.contains(words),
        "{name}: {found:?}"
    );
    // It stays so, however often it is asked to be otherwise.
    client.rebuild().unwrap();
    is_conflict(client.prepare(network()), name);
    assert_eq!(bridge(world), (String::new(), false), "{name}");
    undo();
    until(world, false, name);
    assert_eq!(bridge(world), had, "{name}");
    client.attach(attach(1)).unwrap();
    assert_eq!(client.audit().unwrap(), [], "{name}");
    client.teardown().unwrap();
    refused("root-helper", &format!("shadow.{name}"));
}

/// What may come later: how it is called, how it comes, and what the helper says of it. `ULA` is the gateway of the network.
const LATER: [(&str, &str, &str); 20] = [
    (
        "vpn-route",
        "ip route add 172.16.0.0/12 dev vpn",
        "172.16.0.0/12, which this host reaches by a route",
    ),
    (
        "private-route",
        "ip route add 172.0.0.0/8 dev vpn metric 9",
        "172.0.0.0/8",
    ),
    (
        "specific-route",
        "ip route add 172.16.0.77 dev vpn",
        "172.16.0.77",
    ),
    (
        "half-route",
        "ip route add 172.16.0.128/25 dev vpn",
        "172.16.0.128/25",
    ),
    ("gateway-route", "ip route add 172.16.0.1 dev vpn", "172.16.0.1"),
    ("split-default", "ip route add 128.0.0.0/1 dev vpn", "128.0.0.0/1"),
    (
        "table-route",
        "ip route add 172.16.0.0/16 dev vpn table 1234",
        "172.16.0.0/16",
    ),
    (
        "unreachable-route",
        "ip route add unreachable 172.16.0.0/14 metric 4096",
        "172.16.0.0/14",
    ),
    (
        "own-address",
        "ip addr add 172.16.0.200/32 dev vpn",
        "172.16.0.200",
    ),
    (
        "neighbour-network",
        "ip addr add 172.16.0.129/26 dev vpn",
        "172.16.0",
    ),
    (
        "peer",
        "ip addr add 192.0.2.1 peer 172.16.0.9 dev vpn noprefixroute",
        "172.16.0.9",
    ),
    (
        "default-gateway",
        "ip route add default via 172.16.0.254 dev vpn onlink",
        "is a gateway",
    ),
    (
        "table-gateway",
        "ip route add default via 172.16.0.254 dev vpn onlink table 77",
        "is a gateway",
    ),
    (
        "one-of-two-gateways",
        "ip route add 198.51.100.0/24 nexthop via 192.0.2.9 dev vpn onlink nexthop via 172.16.0.3 dev vpn onlink",
        "is a gateway",
    ),
    (
        "rule",
        "ip rule add to 172.16.0.0/20 lookup 1234",
        "is in a routing rule",
    ),
    ("v6-route", "ip -6 route add fd00::/8 dev vpn", "fd00::/8"),
    (
        "v6-unique-local-route",
        "ip -6 route add fc00::/7 dev vpn",
        "fc00::/7",
    ),
    (
        "v6-specific-route",
        "ip -6 route add ULA/128 dev vpn table 99",
        "reaches by a route",
    ),
    (
        "v6-address",
        "ip addr add ULA/128 dev vpn nodad",
        "reaches by a route",
    ),
    (
        "v6-rule",
        "ip -6 rule add to ULA/64 lookup 1234",
        "is in a routing rule",
    ),
];

pub(crate) fn what_comes_later_is_not_shadowed() {
    let world = World::lonely();
    let ula = network().ula.gateway();
    let v6 = |what: &str| what.replace("ULA", &ula.to_string());
    for (name, act, words) in LATER {
        let act = v6(act);
        let link = "ip link add vpn type veth peer name far; sysctl -qw net.ipv6.conf.vpn.accept_dad=0; ip link set vpn up; ip link set far up";
        let undo = match act.contains("rule add") {
            true => format!("{}; ip link del vpn", act.replace("rule add", "rule del")),
            false if act.contains("unreachable") => {
                format!("{}; ip link del vpn", act.replace(" add ", " del "))
            }
            false => "ip link del vpn".to_owned(),
        };
        let act = format!("{link}; {act}");
        let once = |line: &str| drop(world.host.sh(line));
        tried(&world, name, words, &|| once(&act), &|| once(&undo));
    }
}

/// Runs what follows with an `/etc` and a `/run` of its own.
const OWN_ETC: &str = "mkdir -p $0/up $0/work && mount -t tmpfs none /run && \
     mount -t overlay none -o lowerdir=/etc,upperdir=$0/up,workdir=$0/work /etc && exec \"$@\"";

pub(crate) fn a_resolver_is_not_shadowed() {
    let mut world = World::lonely();
    world.kill();
    let dir = world.state.path().display().to_string();
    world.start_by(&["unshare", "--mount", "sh", "-ec", OWN_ETC, &dir]);
    let root = format!("/proc/{}/root", world.pid());
    let ula = network().ula.gateway();
    let before = world.host.sh(&format!("cat {root}/etc/resolv.conf"));
    let back = format!(
        "rm -rf {root}/run/systemd {root}/run/NetworkManager {root}/run/resolvconf {root}/etc/systemd/resolved.conf; \
         rm -f {root}/etc/resolv.conf; printf '%s' '{before}' > {root}/etc/resolv.conf"
    );
    for (name, act) in [
        ("resolver-written", "echo nameserver 172.16.0.53 > ROOT/etc/resolv.conf".to_owned()),
        // The gateway's own address: whoever answers there would answer for the whole host.
        ("resolver-is-the-gateway", "echo nameserver 172.16.0.1 > ROOT/etc/resolv.conf".to_owned()),
        ("resolver-appended", "echo 'nameserver 172.16.0.53' >> ROOT/etc/resolv.conf".to_owned()),
        (
            "resolver-renamed",
            "echo nameserver 172.16.0.53 > ROOT/etc/.new; mv ROOT/etc/.new ROOT/etc/resolv.conf".to_owned(),
        ),
        (
            "resolver-linked",
            "mkdir -p ROOT/run/systemd/resolve; echo nameserver 172.16.0.53 > ROOT/run/systemd/resolve/resolv.conf; \
             ln -sfn /run/systemd/resolve/resolv.conf ROOT/etc/resolv.conf"
                .to_owned(),
        ),
        ("v6-resolver", format!("echo nameserver {ula}%eth0 > ROOT/etc/resolv.conf")),
        ("mapped-resolver", "echo nameserver ::ffff:172.16.0.53 > ROOT/etc/resolv.conf".to_owned()),
        (
            "resolver-of-a-link",
            "mkdir -p ROOT/run/systemd/netif/links; printf 'ADMIN_STATE=x\\nDNS=9.9.9.9 172.16.0.53:53#name\\n' \
             > ROOT/run/systemd/netif/links/7"
                .to_owned(),
        ),
        (
            "resolver-of-a-vpn",
            "mkdir -p ROOT/run/systemd/resolve/netif; echo SERVERS=172.16.0.53 > ROOT/run/systemd/resolve/netif/9999"
                .to_owned(),
        ),
        (
            "resolver-of-resolved",
            "mkdir -p ROOT/etc/systemd; echo DNS=172.16.0.53 > ROOT/etc/systemd/resolved.conf".to_owned(),
        ),
        (
            "resolver-of-network-manager",
            "mkdir -p ROOT/run/NetworkManager; echo nameserver 172.16.0.53 > ROOT/run/NetworkManager/no-stub-resolv.conf"
                .to_owned(),
        ),
    ] {
        let act = act.replace("ROOT", &root);
        let once = |line: &str| drop(world.host.sh(line));
        tried(&world, name, "is a resolver", &|| once(&act), &|| once(&back));
    }
    // What resolved was told of the bridge by the helper itself is no one else's.
    world.prepared();
    let own = "mkdir -p ROOT/run/systemd/resolve/netif; \
               index=$(ip -o link show dev bgr39u | cut -d: -f1); \
               echo SERVERS=172.16.0.1 > ROOT/run/systemd/resolve/netif/$index; \
               echo nameserver 172.16.0.1 > ROOT/run/systemd/resolve/resolv.conf";
    // The directory of links is resolved's alone on a real host; the file of all is everybody's.
    for mode in ["0755", "0700"] {
        let act = format!("{own}; chmod {mode} ROOT/run/systemd/resolve/netif");
        world.host.sh(&act.replace("ROOT", &root));
        world.client().rebuild().unwrap();
        world.client().attach(attach(0)).unwrap();
        assert_eq!(world.client().status().unwrap().withdrawn, None, "mode {mode}");
    }
    // Another resolver in the same file is someone else's all the same.
    let act = "echo nameserver 172.16.0.53 >> ROOT/run/systemd/resolve/resolv.conf";
    world.host.sh(&act.replace("ROOT", &root));
    assert!(world.client().attach(attach(1)).is_err());
    refused("root-helper", "shadow.resolver-beside-our-own");
}

pub(crate) fn what_the_host_is_connected_to_is_not_shadowed() {
    let world = World::new();
    world.internet.ip("addr add 172.16.0.40/32 dev lo");
    let connected = world.host.run(|| TcpStream::connect("172.16.0.40:80")).unwrap();
    let told = is_conflict(world.client().prepare(network()), "connected");
    assert!(
        told.contains("172.16.0.40, which is the peer of a connection"),
        "{told}"
    );
    refused("root-helper", "shadow.connection");
    drop(connected);
    world.host.sh("ss -K dst 172.16.0.40 >/dev/null 2>&1 || true");
    let start = Instant::now();
    while world.client().prepare(network()).is_err() {
        assert!(start.elapsed() < Duration::from_secs(90), "the connection stays");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub(crate) fn nothing_outside_the_range_is_taken() {
    let mut world = World::lonely();
    world.prepared().attach(attach(0)).unwrap();
    world.kill();
    // Root decides otherwise, and the record is of before.
    world.range = "172.16.4.0/22,fd12:3456::/48";
    world.start();
    let status = world.client().status().unwrap();
    assert!(
        status
            .withdrawn
            .unwrap()
            .contains("172.16.0.0/24 is outside the range 172.16.4.0/22,fd12:3456::/48")
    );
    assert_eq!(bridge(&world), (String::new(), false));
    is_conflict(world.client().attach(attach(1)), "outside");
    refused("root-helper", "range.old-record");
    let mut client = world.client();
    client.detach(Slot(0)).unwrap();
    let inside = Network {
        subnet: "172.16.5.0/24".parse().unwrap(),
        ula: client.range().unwrap().ula,
        ..network()
    };
    for (name, subnet, ula) in [
        ("before", "172.16.3.0/24", None),
        ("behind", "172.16.8.0/24", None),
        ("wider", "172.16.0.0/21", None),
        ("all", "172.16.0.0/16", None),
        ("other", "10.0.0.0/24", None),
        ("third", "192.168.1.0/24", None),
        ("local", "172.16.5.0/24", Some("fd12:3457::/64")),
        ("other-local", "172.16.5.0/24", Some("fd00::/64")),
    ] {
        let asked = Network {
            subnet: subnet.parse().unwrap(),
            ula: ula.map_or(inside.ula, |ula| {
                ula.parse::<banger_model::network::Cidr>()
                    .unwrap()
                    .try_into()
                    .unwrap()
            }),
            ..network()
        };
        let told = is_conflict(client.prepare(asked), name);
        assert!(told.contains("outside the range"), "{name}: {told}");
        refused("root-helper", &format!("range.{name}"));
    }
    client.prepare(inside).unwrap();
    client.attach(attach(0)).unwrap();
    assert_eq!(client.status().unwrap().withdrawn, None);
    assert_eq!(client.audit().unwrap(), []);
}

/// A helper for another owner on the same host.
pub(crate) fn another(world: &World, owner: u32) -> (Child, Client) {
    let program = env!("CARGO_BIN_EXE_banger-root");
    let dir = world.state.path();
    let helper = world.host.run(|| {
        std::process::Command::new(program)
            .args([
                "serve",
                "--owner",
                &owner.to_string(),
                "--range",
                world.range,
                "--socket-dir",
            ])
            .arg(dir.join("run"))
            .arg("--state-dir")
            .arg(dir.join(format!("state-{owner}")))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    });
    let socket = banger_root::serve::socket_path(&dir.join("run"), owner);
    let start = Instant::now();
    loop {
        match Client::connect(&socket) {
            Ok(client) => return (helper, client),
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn a_second_owner_takes_nothing_of_the_first() {
    let world = World::lonely();
    world.prepared().attach(attach(0)).unwrap();
    let (mut helper, mut second) = another(&world, OWNER + 1);
    for (name, subnet) in [
        ("same", "172.16.0.0/24"),
        ("wider", "172.16.0.0/20"),
        ("part", "172.16.0.128/26"),
    ] {
        let asked = Network {
            subnet: subnet.parse().unwrap(),
            ula: second.range().unwrap().ula,
            ..network()
        };
        is_conflict(second.prepare(asked), name);
        refused("root-helper", &format!("second-owner.{name}"));
    }
    let used = second.range().unwrap().used;
    assert!(
        used.iter().any(|used| used.net.to_string() == "172.16.0.0/24"),
        "{used:?}"
    );
    let ula = second.range().unwrap().ula;
    let third: Network = Network {
        ula,
        subnet: "172.16.9.0/24".parse().unwrap(),
        ..network()
    };
    let local = Network {
        ula: network().ula,
        ..third.clone()
    };
    is_conflict(second.prepare(local), "local");
    refused("root-helper", "second-owner.local");
    second.prepare(third).unwrap();
    assert_eq!(world.client().status().unwrap().withdrawn, None);
    assert_eq!(second.audit().unwrap(), []);
    // At one moment, one of the two has it.
    for _ in 0..5 {
        world.client().teardown().unwrap();
        second.teardown().unwrap();
        let both = std::thread::scope(|scope| {
            let first = scope.spawn(|| world.client().prepare(network()).is_ok());
            let asked = Network { ula, ..network() };
            let other = second.prepare(asked).is_ok();
            (first.join().unwrap(), other)
        });
        assert!(both.0 != both.1, "{both:?}");
    }
    refused("root-helper", "second-owner.race");
    helper.kill().unwrap();
    helper.wait().unwrap();
}

pub(crate) fn guests_go_on_when_the_conflict_is_gone() {
    let world = World::new();
    world.prepared();
    let guest = world.guest(0, rules(NetMode::Nat, &[]));
    assert!(guest.tcp("203.0.113.7", 80).is_some());
    world.host.sh("ip link add vpn type veth peer name far; ip link set vpn up; ip link set far up; ip route add 172.16.0.0/16 dev vpn");
    until(&world, true, "vpn");
    for site in ["203.0.113.7", "2001:db8::7"] {
        assert!(guest.tcp_at_once(site, 80).is_none(), "{site}");
    }
    // What the host sends goes to whom it was for.
    let way = world.host.sh("ip route get 172.16.0.2");
    assert!(way.contains("dev vpn"), "{way}");
    world.host.ip("link del vpn");
    until(&world, false, "vpn");
    let start = Instant::now();
    while guest.tcp_at_once("203.0.113.7", 80).is_none() || guest.tcp_at_once("2001:db8::7", 80).is_none() {
        assert!(start.elapsed() < PATIENCE, "the guest reaches nothing any more");
    }
}
