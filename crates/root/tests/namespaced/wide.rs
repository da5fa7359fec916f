//! The widest rules that there are, as many as may be: what they cost does not grow with what is refused.

use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{NetMode, Network, Slot};
use banger_netplan::{NetRule, Rules, filter};
use banger_root::wire::Attach;

use crate::world::{World, mac, network, rules};

const VMS: u16 = 64;
const EACH: u16 = 256;
/// Clients wait for 30 seconds for each.
const SOON: Duration = Duration::from_secs(15);

/// Everything, by each of many ports.
fn everything() -> Rules {
    let all = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
    let nets = (0..EACH).map(|nth| NetRule {
        net: all[usize::from(nth % 2)],
        port: Some(1000 + nth),
    });
    Rules {
        nets: nets.collect(),
        ..rules(NetMode::Allow, &[])
    }
}

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = act();
    let time = start.elapsed();
    eprintln!("{what}: {time:?}");
    assert!(time < SOON, "{what} took {time:?}");
    value
}

pub(crate) fn the_widest_rules_are_taken_in_time() {
    let world = World::lonely();
    // What is refused is much, too.
    world.host.sh("ip link add many type bridge; ip link set many up; sysctl -qw net.ipv6.conf.many.accept_dad=0
         for i in $(seq 0 249); do echo addr add 203.0.113.$i/32 dev many; echo addr add 2001:db8:$i::1/64 dev many; done | ip -batch -");
    let mut client = world.client();
    client.prepare(Network { pool: 0, ..network() }).unwrap();
    let attach = |slot: u16| Attach {
        slot: Slot(slot),
        mac: mac(slot),
        rules: everything(),
    };
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    for slot in 0..VMS {
        let start = Instant::now();
        client.attach(attach(slot)).unwrap();
        slowest = slowest.max(start.elapsed());
    }
    eprintln!("{VMS} attaches: {:?}, the slowest {slowest:?}", start.elapsed());
    assert!(slowest < SOON, "an attach took {slowest:?}");
    let said = client.attach(attach(VMS)).unwrap_err().to_string();
    assert_eq!(
        said,
        "there are too many rules of VMs: the limit of an owner is 16384"
    );
    timed("a rebuild", || client.rebuild().unwrap());
    assert_eq!(timed("an audit", || client.audit().unwrap()), []);
    timed("another policy", || {
        client.policy(Slot(7), rules(NetMode::Nat, &[])).unwrap()
    });
    timed("a change of what is around", || {
        world.host.ip("addr add 198.18.7.1/24 dev many");
        client.status().unwrap();
    });
    let table = filter::table(crate::world::OWNER);
    let listed = world.host.sh(&format!("nft -j list table inet {table}"));
    assert!(listed.len() < 16 << 20, "a listing of {} bytes", listed.len());
    eprintln!("a listing of {} bytes", listed.len());
    timed("a teardown", || client.teardown().unwrap());
    refused("root-helper", "budget.widest-rules");
}
