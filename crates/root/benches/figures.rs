//! The helper's figures, one JSON object a line, in network namespaces of their own. `make bench` has them in its file.

#[path = "../tests/namespaced/netns.rs"]
mod netns;
#[path = "../tests/namespaced/world.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod world;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use banger_model::network::{NetMode, Network, Slot};
use banger_netplan::Answer;
use banger_netplan::{NetRule, Rules};
use banger_root::Client;
use banger_root::wire::Attach;

use world::{World, mac, network};

const VMS: u16 = 200;
const RULES: u8 = 50;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("network namespaces and nftables need root");
        std::process::exit(1);
    }
    few();
    many();
}

fn timed<T>(act: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = act();
    (start.elapsed().as_secs_f64() * 1e3, value)
}

/// Prints what was measured, as `cargo xtask bench` reads it; that has the units and bounds.
fn print(name: &str, samples: Vec<f64>) {
    let line = serde_json::json!({ "name": name, "samples": samples });
    println!("{line}");
}

fn attach(slot: u16, rules: Rules) -> Attach {
    Attach {
        slot: Slot(slot),
        mac: mac(slot),
        rules,
    }
}

fn nat() -> Rules {
    world::rules(NetMode::Nat, &[])
}

/// As many rules as the issue says, half of them for blocks and half for single addresses, of both families.
fn fifty(slot: u16) -> Rules {
    let net = |nth: u8| NetRule {
        net: match nth % 4 {
            0 => format!("{}.{nth}.{}.0/24", 11 + slot % 80, slot % 256),
            1 => format!("2001:db8:{slot:x}:{nth:x}::/64"),
            2 => format!("203.0.{nth}.{}", slot % 256),
            _ => format!("2001:db8:{slot:x}::{nth:x}"),
        }
        .parse()
        .unwrap(),
        port: Some(1000 + u16::from(nth)),
    };
    Rules {
        nets: (0..RULES).map(net).collect(),
        ..world::rules(NetMode::Allow, &[])
    }
}

/// After a removal the kernel lets no other change of the filter be made for some ten milliseconds, in which it frees
/// what was removed. A change that comes alone does not meet that.
fn alone<T>(act: impl FnOnce() -> T) -> f64 {
    std::thread::sleep(Duration::from_millis(200));
    timed(act).0
}

/// Waits until the helper has nothing more to do by itself.
fn settle(client: &mut Client, warm: usize) {
    while client.status().unwrap().warm < warm {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(500));
}

fn few() {
    let world = World::new();
    let mut client = world.client();
    client
        .prepare(Network {
            pool: 20,
            ..network()
        })
        .unwrap();
    settle(&mut client, 20);
    let warm = (0..20).map(|slot| {
        let (time, attached) = timed(|| client.attach(attach(slot, nat())).unwrap());
        assert!(attached.warm);
        time
    });
    print("net.attach_warm_ms", warm.collect());
    print(
        "net.detach_ms",
        (0..20)
            .map(|slot| alone(|| client.detach(Slot(slot)).unwrap()))
            .collect(),
    );
    let mut prepares = Vec::new();
    for _ in 0..5 {
        client.teardown().unwrap();
        let bare = Network { pool: 0, ..network() };
        prepares.push(timed(|| client.prepare(bare).unwrap()).0);
    }
    print("net.prepare_ms", prepares);
    let cold = (0..20).map(|slot| {
        let (time, attached) = timed(|| client.attach(attach(slot, nat())).unwrap());
        assert!(!attached.warm);
        time
    });
    print("net.attach_cold_ms", cold.collect());
    (0..20).for_each(|slot| client.detach(Slot(slot)).unwrap());
    let all = timed(|| {
        std::thread::scope(|scope| {
            for slot in 0..50 {
                let socket = world.socket();
                scope.spawn(move || {
                    Client::connect(&socket)
                        .unwrap()
                        .attach(attach(slot, nat()))
                        .unwrap()
                });
            }
        });
    });
    print("net.attach_50_at_once_ms", vec![all.0]);
    (0..50).for_each(|slot| client.detach(Slot(slot)).unwrap());
    print("net.round_trip_1vm_us", round_trips(&world, 0));
}

fn many() {
    let world = World::new();
    let mut client = world.client();
    client
        .prepare(Network {
            pool: 20,
            ..network()
        })
        .unwrap();
    for slot in 0..VMS {
        client.attach(attach(slot, fifty(slot))).unwrap();
    }
    settle(&mut client, 20);
    let attaches = (VMS..VMS + 20).map(|slot| timed(|| client.attach(attach(slot, fifty(slot))).unwrap()).0);
    print("net.attach_warm_among_200vm_ms", attaches.collect());
    let detaches = (VMS..VMS + 20).map(|slot| alone(|| client.detach(Slot(slot)).unwrap()));
    print("net.detach_200vm_ms", detaches.collect());
    settle(&mut client, 20);
    print(
        "net.rebuild_200vm_ms",
        (0..5).map(|_| timed(|| client.rebuild().unwrap()).0).collect(),
    );
    let script = world.state.path().join("ruleset");
    // The whole of what is loaded, as the helper loads it, into a namespace that has none and again over itself.
    let whole = whole_filter();
    std::fs::write(&script, whole).unwrap();
    let load = format!("nft -f {}", script.display());
    let loads = (0..5).map(|_| timed(|| world.internet.sh(&load)).0);
    print("net.ruleset_200vm_ms", loads.collect());
    let policies = (0..20).map(|slot| alone(|| client.policy(Slot(slot), nat()).unwrap()));
    print("net.policy_200vm_ms", policies.collect());
    let in_a_row = (20..40).map(|slot| timed(|| client.policy(Slot(slot), nat()).unwrap()).0);
    print("net.policy_in_a_row_200vm_ms", in_a_row.collect());
    let answer = |nth: u8| {
        vec![Answer {
            address: [203, 0, 113, nth].into(),
            port: Some(443),
            ttl: 60,
        }]
    };
    let answers = (0..20).map(|nth| timed(|| client.answers(Slot(0), answer(nth)).unwrap()).0);
    print("net.answer_among_200vm_ms", answers.collect());
    print("net.round_trip_200vm_us", round_trips(&world, VMS));
}

fn whole_filter() -> String {
    use banger_model::network::refused;
    use banger_netplan::{Member, filter};
    let (owner, network) = (world::OWNER, network());
    let member = |slot| Member {
        mac: mac(slot),
        rules: fifty(slot),
        generation: 1,
    };
    let all = (0..VMS)
        .flat_map(|slot| filter::elements(owner, &network, Slot(slot), &member(slot), refused()))
        .collect();
    filter::base(owner, 0x4000, &network, false) + &filter::change(owner, &Default::default(), &all)
}

/// Datagrams from a guest to the Internet and back, in an allow list: each passes every set.
fn round_trips(world: &World, slot: u16) -> Vec<f64> {
    let guest = world.guest(slot, fifty(slot));
    world
        .client()
        .policy(
            Slot(slot),
            world::rules(NetMode::Allow, &[("203.0.113.0/24", None)]),
        )
        .unwrap();
    guest.netns.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("203.0.113.7:80").unwrap();
        let exchange = || {
            socket.send(b"hello").unwrap();
            socket.recv(&mut [0; 64]).unwrap();
        };
        (0..2000).for_each(|_| exchange());
        (0..5000).map(|_| timed(exchange).0 * 1e3).collect()
    })
}
