//! The owner's own programs against the helper.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use banger_cases::refused;
use banger_model::network::{Mac, NetMode, Network, Slot, Ula};
use banger_netplan::Answer;
use banger_netplan::{NetRule, Rules, Use};
use banger_root::helper::{Addresses, Helper};
use banger_root::host::{Observed, Step};
use banger_root::kernel::{Host, HostError, Look};
use banger_root::plan::Store;
use banger_root::wire::{Attach, Failure, FailureCode, Reply, Verb, read_frame};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::addresses::another;
use crate::world::{LONG, OWNER, World, mac, network, rules};

fn sent(world: &World, bytes: &[u8]) -> Option<Reply> {
    let mut socket = UnixStream::connect(world.socket()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The helper may close before it has read all of it.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    read_frame(&mut socket, 64 << 20).ok().flatten()
}

fn framed(json: &str) -> Vec<u8> {
    [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat()
}

/// Verbs that are none, or ask for more than any may.
fn verbs() -> Vec<(&'static str, String)> {
    let network = |field: &str, value: &str| {
        let whole =
            serde_json::json!({"subnet": "172.16.0.0/24", "ula": "fd00:1::/64", "mtu": 1500, "pool": 0});
        let mut whole = serde_json::json!({ "prepare": whole });
        whole["prepare"][field] = serde_json::from_str(value).unwrap();
        whole.to_string()
    };
    let attach = |field: &str, value: &str| {
        let whole = serde_json::json!({"slot": 1, "mac": "06:00:00:00:00:01", "rules": {"mode": "nat"}});
        let mut whole = serde_json::json!({ "attach": whole });
        whole["attach"][field] = serde_json::from_str(value).unwrap();
        whole.to_string()
    };
    let rules = |rules: &str| attach("rules", rules);
    vec![
        ("empty", String::new()),
        ("null", "null".to_owned()),
        ("deep", "[".repeat(100_000)),
        ("unknown", r#"{"run":"id"}"#.to_owned()),
        ("two", r#"{"detach":{"slot":1},"teardown":null}"#.to_owned()),
        ("trailing", r#""teardown" "teardown""#.to_owned()),
        ("case", r#""Teardown""#.to_owned()),
        ("extra-field", r#"{"detach":{"slot":1,"path":"/etc"}}"#.to_owned()),
        ("slot-negative", r#"{"detach":{"slot":-1}}"#.to_owned()),
        ("slot-large", r#"{"detach":{"slot":65536}}"#.to_owned()),
        ("slot-float", r#"{"detach":{"slot":1.5}}"#.to_owned()),
        ("slot-text", r#"{"detach":{"slot":"1"}}"#.to_owned()),
        ("subnet-public", network("subnet", r#""8.8.8.0/24""#)),
        ("subnet-all", network("subnet", r#""0.0.0.0/0""#)),
        ("subnet-loopback", network("subnet", r#""127.0.0.0/24""#)),
        ("subnet-host-bits", network("subnet", r#""172.16.0.1/24""#)),
        ("subnet-tiny", network("subnet", r#""172.16.0.0/31""#)),
        (
            "subnet-script",
            network("subnet", r#""172.16.0.0/24; flush ruleset""#),
        ),
        ("ula-global", network("ula", r#""2001:db8::/64""#)),
        ("ula-wide", network("ula", r#""fd00::/8""#)),
        ("mtu-zero", network("mtu", "0")),
        ("mtu-large", network("mtu", "65535")),
        ("pool-large", network("pool", "65")),
        ("mac-multicast", attach("mac", r#""01:00:5e:00:00:01""#)),
        ("mac-vendor", attach("mac", r#""00:16:3e:00:00:01""#)),
        (
            "mac-script",
            attach("mac", r#""06:00:00:00:00:01 } ; flush ruleset""#),
        ),
        ("mode-unknown", rules(r#"{"mode":"all"}"#)),
        (
            "net-script",
            rules(r#"{"mode":"nat","nets":[{"net":"0.0.0.0/0 }; flush ruleset"}]}"#),
        ),
        (
            "net-mapped-length",
            rules(r#"{"mode":"nat","nets":[{"net":"::/129"}]}"#),
        ),
        (
            "port-zero",
            rules(r#"{"mode":"nat","nets":[{"net":"1.2.3.4","port":0}]}"#),
        ),
        ("port-large", rules(r#"{"mode":"nat","host_ports":[65536]}"#)),
        ("peer-beyond", rules(r#"{"mode":"nat","peers":[300]}"#)),
        ("slot-beyond", attach("slot", "60000")),
        (
            "policy-nobody",
            r#"{"policy":{"slot":9,"rules":{"mode":"nat"}}}"#.to_owned(),
        ),
        (
            "answers-nobody",
            r#"{"answers":{"slot":9,"answers":[]}}"#.to_owned(),
        ),
    ]
}

/// What is no verb is refused, and nothing is changed by it.
pub(crate) fn no_frame_is_more_than_a_verb() {
    let world = World::lonely();
    let mut client = world.prepared();
    let start = Instant::now();
    // The pool is filled between verbs.
    while client.status().unwrap().warm < 2 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the pool is not filled"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // So is what is on the host's networks by now, which the bridge is one of.
    let mut before = String::new();
    while world.snapshot() != before {
        before = world.snapshot();
        std::thread::sleep(Duration::from_millis(300));
    }
    for (name, json) in verbs() {
        let reply = sent(&world, &framed(&json));
        let refusal = match reply {
            Some(Reply::Failed(Failure { code, .. })) => {
                matches!(code, FailureCode::Invalid | FailureCode::NotAttached)
            }
            // What is too deep or too long to answer is hung up on.
            None => true,
            Some(_) => false,
        };
        assert!(refusal, "{name}: {reply:?}");
        assert!(world.snapshot() == before, "{name}");
        refused("root-helper", &format!("verb.{name}"));
    }
    for (name, bytes) in [
        ("length-all", vec![0xff; 4]),
        ("length-beyond", ((256 << 10) + 1u32).to_be_bytes().to_vec()),
        ("cut", framed("\"teardown\"")[..8].to_vec()),
        ("half-a-length", vec![0, 0]),
        ("no-utf8", [&[0, 0, 0, 4][..], &[0xff; 4]].concat()),
    ] {
        let reply = sent(&world, &bytes);
        assert!(
            matches!(reply, None | Some(Reply::Failed(_))),
            "{name}: {reply:?}"
        );
        assert!(world.snapshot() == before, "{name}");
        refused("root-helper", &format!("frame.{name}"));
    }
    assert_eq!(world.client().audit().unwrap(), []);
}

/// Verbs that were changed at random: the helper answers afterwards, and the host is as planned.
pub(crate) fn random_frames_change_nothing() {
    let world = World::lonely();
    world.prepared();
    let whole = serde_json::to_vec(&Verb::Attach(Attach {
        slot: Slot(1),
        mac: mac(1),
        rules: rules(NetMode::Allow, &[("203.0.113.0/24", Some(443))]),
    }))
    .unwrap();
    let change = prop::collection::vec((0..whole.len(), any::<u8>()), 1..6);
    let noise = prop::collection::vec(any::<u8>(), 0..400);
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let tested = runner.run(&(change, noise, any::<bool>()), |(change, noise, is_noise)| {
        let mut json = whole.clone();
        change.iter().for_each(|&(at, byte)| json[at] = byte);
        let body = if is_noise { noise } else { json };
        let frame = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        sent(&world, &frame);
        prop_assert!(world.client().status().is_ok());
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
    assert_eq!(world.client().audit().unwrap(), []);
    refused("root-helper", "verb.random");
}

pub(crate) fn root_is_heard_whatever_the_owner_holds() {
    let world = World::lonely();
    let path = world.socket();
    std::fs::set_permissions(
        world.state.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let held: Vec<UnixStream> = world.host.run(|| {
        // SAFETY: the call as such, unlike the library's, changes this thread alone, which ends after this.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, OWNER, OWNER, OWNER) };
        assert_eq!(changed, 0);
        let connect = |nth: usize| {
            let mut socket = UnixStream::connect(&path).unwrap();
            // Half a frame, which is never finished.
            let _ = socket.write_all(&[0, 0, 1, nth as u8]);
            socket
        };
        (0..200).map(connect).collect()
    });
    // Those that were too many are closed.
    let closed = |mut socket: &UnixStream| {
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket.read(&mut [0; 1]).map_or_else(
            |error| error.kind() == std::io::ErrorKind::ConnectionReset,
            |got| got == 0,
        )
    };
    let start = Instant::now();
    while held.iter().filter(|socket| closed(socket)).count() < 200 - 64 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the owner has all connections"
        );
    }
    let (first, start) = (world.client().status(), Instant::now());
    assert!(
        first.is_ok() && start.elapsed() < LONG,
        "{first:?} after {:?}",
        start.elapsed()
    );
    refused("root-helper", "budget.connections");
}

/// A host where everything is as it shall be.
struct Idle;

impl Host for Idle {
    fn observe(&self) -> Result<Observed, HostError> {
        Ok(Observed::default())
    }

    fn uses(&self, _: &str, _: &[IpAddr], _: Look) -> Result<Vec<Use>, HostError> {
        Ok(Vec::new())
    }

    fn setting(&self, _: &str) -> Result<Option<String>, HostError> {
        Ok(None)
    }

    fn filter(&self, _: u32) -> Result<String, HostError> {
        Ok(String::new())
    }

    fn apply(&self, _: &Step) -> Result<(), HostError> {
        Ok(())
    }
}

fn idle(state: &std::path::Path) -> Helper {
    let addresses = Addresses {
        room: None,
        ula: Ula::from_seed(b"test"),
        lock: None,
    };
    let store = Store::open(state).unwrap();
    let mut helper = Helper::open(OWNER, store, addresses, Box::new(Idle), Vec::new()).unwrap();
    let wide = Network {
        subnet: "172.16.0.0/16".parse().unwrap(),
        ..network()
    };
    assert_eq!(helper.handle(Verb::Prepare(wide)), Reply::Done);
    helper
}

fn code(reply: Reply) -> Option<FailureCode> {
    match reply {
        Reply::Failed(failure) => Some(failure.code),
        _ => None,
    }
}

pub(crate) fn an_owner_has_a_budget() {
    let attach = |slot: u16, rules: Rules| {
        Verb::Attach(Attach {
            slot: Slot(slot),
            mac: Mac::try_from(format!("06:00:00:00:{:02x}:{:02x}", slot >> 8, slot & 255)).unwrap(),
            rules,
        })
    };
    let state = tempfile::tempdir().unwrap();
    let mut helper = idle(state.path());
    let off = || rules(NetMode::Off, &[]);
    let first = (0..5000).find(|&slot| code(helper.handle(attach(slot, off()))).is_some());
    assert_eq!(first, Some(950));
    // One that is there may be attached again, and another for one that went.
    assert_eq!(code(helper.handle(attach(949, off()))), None);
    assert_eq!(helper.handle(Verb::Detach { slot: Slot(3) }), Reply::Done);
    assert_eq!(code(helper.handle(attach(2000, off()))), None);
    refused("root-helper", "budget.vms");
    let state = tempfile::tempdir().unwrap();
    let mut helper = idle(state.path());
    let many = || Rules {
        nets: (0..256u32)
            .map(|nth| NetRule {
                net: banger_model::network::Cidr::host(
                    std::net::Ipv4Addr::from_bits(0xcb00_7100 | nth).into(),
                ),
                port: None,
            })
            .collect(),
        ..rules(NetMode::Allow, &[])
    };
    let first = (0..500).find(|&slot| code(helper.handle(attach(slot, many()))).is_some());
    assert_eq!(first, Some(64));
    assert_eq!(code(helper.handle(attach(64, off()))), None);
    let policy = Verb::Policy {
        slot: Slot(64),
        rules: many(),
    };
    assert_eq!(code(helper.handle(policy)), Some(FailureCode::Invalid));
    refused("root-helper", "budget.rules");
    let answers = |slot: u16, from: u32, count: u32| Verb::Answers {
        slot: Slot(slot),
        answers: (from..from + count)
            .map(|nth| Answer {
                address: std::net::Ipv4Addr::from_bits(0x0800_0000 + nth).into(),
                port: None,
                ttl: 86_400,
            })
            .collect(),
    };
    let filled = (0..64u16).flat_map(|slot| (0..8u32).map(move |part| (slot, part * 512)));
    // Of the 64 VMs with 4,096 each, the first sixteen have all that an owner may have.
    let full: Vec<bool> = filled
        .map(|(slot, from)| code(helper.handle(answers(slot, from, 512))).is_some())
        .collect();
    assert_eq!(full.iter().position(|refused| *refused), Some(128));
    assert!(full[128..].iter().all(|refused| *refused));
    assert_eq!(
        code(helper.handle(answers(0, 0, 513))),
        Some(FailureCode::Invalid)
    );
    refused("root-helper", "budget.answers");
    let busy = (0..5000).find_map(|_| code(helper.handle(answers(0, 0, 1))));
    assert_eq!(busy, Some(FailureCode::Busy));
    refused("root-helper", "budget.answers-a-second");
}

/// Two owners whose ids agree in their last 14 bits.
pub(crate) fn flows_are_told_to_their_owner_alone() {
    let world = World::new();
    world.prepared();
    let (mut helper, mut second) = another(&world, OWNER + (1 << 14));
    let ula = second.range().unwrap().ula;
    let other = Network {
        ula,
        subnet: "172.16.1.0/24".parse().unwrap(),
        ..network()
    };
    second.prepare(other).unwrap();
    let spy = second.flows(|| None).unwrap();
    let own = world.client().flows(|| Some(network())).unwrap();
    spy.socket
        .set_read_timeout(Some(Duration::from_millis(700)))
        .unwrap();
    own.socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let guest = world.guest(0, rules(NetMode::Learn, &[]));
    assert!(guest.tcp("203.0.113.7", 80).is_some());
    let seen: Vec<_> = own.map_while(Result::ok).take(1).collect();
    assert_eq!(seen.len(), 1);
    let spied: Vec<_> = spy.map_while(Result::ok).collect();
    assert_eq!(spied, [], "another owner's flows");
    refused("root-helper", "flows.uids-that-agree-in-14-bits");
    helper.kill().unwrap();
    helper.wait().unwrap();
}

/// Killed at some instant of each verb: the next helper finds or makes the host as planned, and a teardown leaves nothing.
pub(crate) fn a_helper_that_is_killed_in_a_verb_leaves_nothing_half() {
    let mut world = World::lonely();
    let before = world.snapshot();
    for round in 0..12u64 {
        let path = world.socket();
        let verbs = std::thread::spawn(move || {
            let mut client = banger_root::Client::connect(&path)?;
            client.prepare(network())?;
            for slot in 0..20 {
                let rules = rules(NetMode::Nat, &[("203.0.113.0/24", None)]);
                client.attach(Attach {
                    slot: Slot(slot),
                    mac: mac(slot),
                    rules,
                })?;
                if slot % 3 == 0 {
                    client.detach(Slot(slot))?;
                }
            }
            client.teardown()
        });
        std::thread::sleep(Duration::from_millis(7 * round * round % 260));
        world.kill();
        let _ = verbs.join().unwrap();
        world.start();
        assert_eq!(
            world.client().audit().unwrap(),
            [],
            "round {round}\n{}",
            world.log()
        );
        world.client().teardown().unwrap();
        assert_eq!(world.snapshot(), before, "round {round}");
    }
    let left = std::fs::read_dir(world.state.path().join("state")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}
