//! Making, changing, repairing and removing; with others on the host, and with a host that refuses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use banger_model::network::{Cidr, Finding, NetMode, Network, Slot, Ula};
use banger_netplan::{NetRule, Rules, Use};
use banger_root::helper::{Addresses, Helper};
use banger_root::host::{Observed, Step};
use banger_root::kernel::{Host, HostError, Kernel, Look};
use banger_root::plan::Store;
use banger_root::wire::{Attach, Reply, Verb};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::netns::Netns;
use crate::world::{OWNER, World, filter, mac, network, open_tap, rules, set_tap};

const OTHERS: &str = "nft -f - <<NFT
table ip filter {
	chain FORWARD { type filter hook forward priority filter; policy drop; }
	chain DOCKER-USER { counter; }
}
table inet ufw {
	set x { type ipv4_addr; elements = { 192.0.2.1 }; }
}
table inet banger_42420 {
	chain mine { accept; }
}
NFT
ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link add bgr0-1 type veth peer name peer0";

fn attach(slot: u16, rules: Rules) -> Attach {
    Attach {
        slot: Slot(slot),
        mac: mac(slot),
        rules,
    }
}

/// That two listings are the same, or else the lines in which they are not.
fn same(now: &str, then: &str, when: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (now, then) = (lines(now), lines(then));
    let (more, less) = (
        now.difference(&then).collect::<Vec<_>>(),
        then.difference(&now).collect::<Vec<_>>(),
    );
    assert!(
        more.is_empty() && less.is_empty(),
        "{when}: too much: {more:#?}, too little: {less:#?}"
    );
}

pub(crate) fn what_is_others_stays() {
    let world = World::lonely();
    world.host.sh(OTHERS);
    let before = world.snapshot();
    let mut client = world.prepared();
    for slot in 0..3 {
        client.attach(attach(slot, rules(NetMode::Nat, &[]))).unwrap();
    }
    // Of others, an owner is told no rules and no addresses.
    let Reply::Audit(seen) = client.call(&Verb::Audit).unwrap() else {
        panic!("no audit")
    };
    let listing = seen.listing.unwrap();
    assert!(listing.contains("chain DOCKER-USER {") && listing.contains("hook forward"));
    for hidden in ["192.0.2.1", "counter", "set x {"] {
        assert!(!listing.contains(hidden), "{hidden}: {listing}");
    }
    let found = client.audit().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].problem,
        "chain FORWARD of table ip filter drops unknown traffic, so VMs may have no network access"
    );
    assert_eq!(
        found[0].hint,
        "iptables -I DOCKER-USER -i bgr39u -j ACCEPT; iptables -I DOCKER-USER -o bgr39u -j ACCEPT"
    );
    client.detach(Slot(1)).unwrap();
    client.rebuild().unwrap();
    client.teardown().unwrap();
    client.teardown().unwrap();
    same(&world.snapshot(), &before, "torn down");
    let mut records = std::fs::read_dir(world.state.path().join("state")).unwrap();
    assert!(records.all(|record| record.unwrap().file_name() == "lock"));
}

pub(crate) fn what_was_broken_is_repaired() {
    let mut world = World::lonely();
    let mut client = world.prepared();
    let listed = [("203.0.113.0/24", Some(443)), ("2001:db8::/32", None)];
    for slot in 0..3 {
        client
            .attach(attach(slot, rules(NetMode::Allow, &listed)))
            .unwrap();
    }
    let settled = |world: &World| {
        // The pool is filled between verbs.
        let mut client = world.client();
        let start = std::time::Instant::now();
        while client.status().unwrap().warm < 2 {
            assert!(
                start.elapsed() < std::time::Duration::from_secs(20),
                "the pool is not filled"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(client.audit().unwrap(), []);
        world.snapshot()
    };
    let whole = settled(&world);
    for harm in [
        "nft flush ruleset",
        "ip link del bgr39u",
        "ip link del bgr39u-1",
        "ip link set bgr39u-2 down; ip link set bgr39u down",
        "ip link set bgr39u-0 nomaster",
        "bridge link set dev bgr39u-0 isolated off",
        "nft delete element inet banger_4242 modes4 { 172.16.0.3 }",
        "nft add element inet banger_4242 vm1_nets_ports4 { 10.0.0.0/8 . 443 }",
        "nft insert rule inet banger_4242 vm1_nets6 accept",
        "nft insert rule inet banger_4242 forward accept",
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        "ip addr del 172.16.0.1/24 dev bgr39u; ip addr add 172.16.0.9/24 dev bgr39u",
        "ip link add bgr39u-7 type veth peer name bgr39u-8; ip tuntap add bgr39u+9 mode tap",
        "ip link set bgr39u mtu 1400; ip link set bgr39u address 02:00:00:00:00:01",
    ] {
        world.host.sh(harm);
        assert_ne!(client.audit().unwrap(), [], "{harm}");
        client.rebuild().unwrap_or_else(|error| panic!("{harm}: {error}"));
        same(&settled(&world), &whole, harm);
    }
    // A host that restarted: a kernel without any of it, and the same records.
    world.kill();
    world.host = Arc::new(Netns::new());
    world.start();
    same(&settled(&world), &whole, "restart");
    // A helper that was killed while it attached: the record is there, its TAP is not; and a TAP without a record.
    world.kill();
    world
        .host
        .sh("ip link del bgr39u-0; ip tuntap add bgr39u-5 mode tap; nft flush ruleset");
    world.start();
    same(&settled(&world), &whole, "restart");
    // A record that a power failure tore.
    world.kill();
    std::fs::write(world.state.path().join("state/vm-2.json"), "").unwrap();
    world.start();
    assert_eq!(world.client().audit().unwrap(), []);
    assert_eq!(world.client().status().unwrap().attached.len(), 2);
}

pub(crate) fn a_filter_that_is_gone_is_loaded_by_the_next_verb() {
    let world = World::lonely();
    let mut client = world.prepared();
    client.attach(attach(0, rules(NetMode::Nat, &[]))).unwrap();
    world.host.sh("nft flush ruleset");
    client.attach(attach(1, rules(NetMode::Nat, &[]))).unwrap();
    world.host.sh("nft flush ruleset");
    client.detach(Slot(0)).unwrap();
    assert_eq!(client.audit().unwrap(), []);
}

pub(crate) fn fifty_attach_at_once() {
    let world = World::lonely();
    world.prepared();
    std::thread::scope(|scope| {
        for slot in 0..50 {
            let socket = world.socket();
            scope.spawn(move || {
                let mut client = banger_root::Client::connect(&socket).unwrap();
                client.attach(attach(slot, rules(NetMode::Nat, &[]))).unwrap();
            });
        }
    });
    assert_eq!(world.client().audit().unwrap(), []);
    assert_eq!(world.client().status().unwrap().attached.len(), 50);
    std::thread::scope(|scope| {
        for slot in 0..50 {
            let socket = world.socket();
            scope.spawn(move || {
                banger_root::Client::connect(&socket)
                    .unwrap()
                    .detach(Slot(slot))
                    .unwrap()
            });
        }
    });
    assert_eq!(world.client().audit().unwrap(), []);
}

pub(crate) fn only_the_owner_is_served_and_has_the_tap() {
    let world = World::lonely();
    let mut client = world.prepared();
    client.attach(attach(0, rules(NetMode::Nat, &[]))).unwrap();
    let socket = std::fs::metadata(world.socket()).unwrap();
    assert_eq!(
        (socket.uid(), socket.permissions().mode() & 0o777),
        (OWNER, 0o600)
    );
    let as_user = |uid: u32, act: &(dyn Fn() -> bool + Sync)| {
        world.host.run(|| {
            // SAFETY: the call as such, unlike the library's, changes this thread alone, which ends after this.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }, 0);
            act()
        })
    };
    // Whoever may not connect by the mode of the socket is refused there; by a laxer mode, by the credentials.
    std::fs::set_permissions(world.state.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(world.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let path = world.socket();
    let asks = || {
        banger_root::Client::connect(&path)
            .and_then(|mut client| client.status())
            .is_ok()
    };
    assert!(as_user(OWNER, &asks));
    assert!(!as_user(OWNER + 1, &asks));
    assert!(!as_user(65534, &asks));
    assert!(
        world.log().contains(&format!("uid {}", OWNER + 1)),
        "{}",
        world.log()
    );
    // The TAP is opened by its owner without privileges, and by nobody else.
    let tun = || {
        world.host.run(|| {
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
                .unwrap()
        })
    };
    let (other, owned) = (tun(), tun());
    assert!(!as_user(OWNER + 1, &|| set_tap(&other, "bgr39u-0").is_ok()));
    assert!(as_user(OWNER, &|| set_tap(&owned, "bgr39u-0").is_ok()));
    drop(owned);
    // And by one VMM at a time.
    let first = world.host.run(|| open_tap("bgr39u-0")).unwrap();
    world.host.run(|| open_tap("bgr39u-0")).unwrap_err();
    drop(first);
}

/// The kernel, but its `fails`th change is not made.
struct Failing {
    kernel: Kernel,
    count: AtomicUsize,
    fails: usize,
    /// Whether all changes from then on fail too.
    for_good: bool,
    did: Arc<Mutex<Vec<String>>>,
}

impl Host for Failing {
    fn observe(&self) -> Result<Observed, HostError> {
        self.kernel.observe()
    }

    fn uses(&self, bridge: &str, gateways: &[IpAddr], more: Look) -> Result<Vec<Use>, HostError> {
        self.kernel.uses(bridge, gateways, more)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, HostError> {
        self.kernel.setting(key)
    }

    fn filter(&self, owner: u32) -> Result<String, HostError> {
        self.kernel.filter(owner)
    }

    fn apply(&self, step: &Step) -> Result<(), HostError> {
        let at = self.count.fetch_add(1, Ordering::Relaxed);
        self.did.lock().unwrap().push(step.to_string());
        if at == self.fails || (self.for_good && at > self.fails) {
            let source = std::io::Error::from_raw_os_error(libc::ENOBUFS);
            return Err(HostError {
                doing: step.to_string(),
                source,
            });
        }
        self.kernel.apply(step)
    }
}

fn quiet() -> Network {
    Network { pool: 0, ..network() }
}

/// A helper in the world whose host refuses a step, or none.
fn helper(
    netns: &Netns,
    state: &std::path::Path,
    fails: usize,
    for_good: bool,
) -> (Helper, Arc<Mutex<Vec<String>>>) {
    let did = Arc::new(Mutex::new(Vec::new()));
    let helper = netns.run(|| {
        let host = Failing {
            kernel: Kernel,
            count: AtomicUsize::new(0),
            fails,
            for_good,
            did: Arc::clone(&did),
        };
        let addresses = Addresses {
            room: None,
            ula: Ula::from_seed(b"test"),
            lock: None,
        };
        let store = Store::open(state).unwrap();
        Helper::open(OWNER, store, addresses, Box::new(host), Vec::new()).unwrap()
    });
    (helper, did)
}

/// Every step of a verb fails once. Either the verb comes to be all the same, or all is as before.
pub(crate) fn a_step_that_fails_leaves_what_was_there() {
    let host = World::lonely();
    host.host.sh(OTHERS);
    let verbs = [
        Verb::Prepare(quiet()),
        Verb::Attach(attach(0, rules(NetMode::Nat, &[("203.0.113.0/24", Some(443))]))),
        Verb::Attach(attach(
            1,
            Rules {
                peers: [Slot(0)].into(),
                ..rules(NetMode::Allow, &[])
            },
        )),
        Verb::Policy {
            slot: Slot(0),
            rules: rules(NetMode::Allow, &[("2001:db8::/32", None)]),
        },
    ];
    let handle = |helper: &mut Helper, verb: &Verb| {
        let verb = verb.clone();
        host.host.run(|| helper.handle(verb))
    };
    let mut failed = 0;
    for (nth, verb) in verbs.iter().enumerate() {
        for fails in 0.. {
            let state = tempfile::tempdir().unwrap();
            let (mut sound, _) = helper(&host.host, state.path(), usize::MAX, false);
            for verb in &verbs[..nth] {
                assert!(!matches!(handle(&mut sound, verb), Reply::Failed(_)), "{verb:?}");
            }
            let before = host.snapshot();
            let (mut failing, did) = helper(&host.host, state.path(), fails, false);
            let reply = handle(&mut failing, verb);
            let steps = did.lock().unwrap().clone();
            let (mut later, _) = helper(&host.host, state.path(), usize::MAX, false);
            if let Reply::Failed(failure) = reply {
                failed += 1;
                same(&host.snapshot(), &before, &format!("{failure}: {steps:#?}"));
                // And nothing is remembered that is not.
                assert_eq!(
                    handle(&mut later, &Verb::Status),
                    handle(&mut sound, &Verb::Status)
                );
            } else {
                let after = host.snapshot();
                assert_eq!(handle(&mut later, &Verb::Rebuild), Reply::Done);
                same(
                    &host.snapshot(),
                    &after,
                    &format!("{verb:?} with step {fails} of {steps:#?}"),
                );
            }
            assert_eq!(handle(&mut later, &Verb::Teardown), Reply::Done);
            if fails >= steps.len() {
                break;
            }
        }
    }
    assert!(failed > 15, "only {failed} steps failed");
}

/// A host that refuses everything from some step on: the helper says what stays, and the next one brings it in order.
pub(crate) fn what_could_not_be_undone_is_reported_and_repaired_later() {
    let world = World::lonely();
    let before = world.snapshot();
    for fails in 0..8 {
        let state = tempfile::tempdir().unwrap();
        let (mut failing, _) = helper(&world.host, state.path(), fails, true);
        let reply = world.host.run(|| failing.handle(Verb::Prepare(quiet())));
        let Reply::Failed(failure) = reply else {
            panic!("{reply:?}")
        };
        assert!(failure.message.contains("not removed:"), "{failure}");
        let (mut later, _) = helper(&world.host, state.path(), usize::MAX, false);
        assert_eq!(world.host.run(|| later.handle(Verb::Rebuild)), Reply::Done);
        assert_eq!(world.host.run(|| findings(&mut later)), []);
        assert_eq!(world.host.run(|| later.handle(Verb::Teardown)), Reply::Done);
        same(&world.snapshot(), &before, "torn down");
    }
}

fn findings(helper: &mut Helper) -> Vec<Finding> {
    match helper.handle(Verb::Audit) {
        Reply::Audit(audit) => audit.findings(),
        other => panic!("{other:?}"),
    }
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let nets = prop::collection::vec((any::<u16>(), 8u8..=32), 0..4);
    (0usize..4, prop::collection::btree_set(0u16..4, 0..3), nets).prop_map(|(mode, peers, nets)| Rules {
        mode: [NetMode::Off, NetMode::Nat, NetMode::Allow, NetMode::Learn][mode],
        nets: nets
            .into_iter()
            .map(|(at, len)| NetRule {
                net: Cidr::around(std::net::Ipv4Addr::from_bits(u32::from(at) << 16).into(), len).unwrap(),
                port: at.is_multiple_of(2).then_some(443),
            })
            .collect(),
        peers: peers.into_iter().map(Slot).collect(),
        host_ports: BTreeSet::new(),
    })
}

/// Any sequence of verbs, each said twice, comes to the same as saying each once, and the host is then as planned.
pub(crate) fn saying_it_twice_is_saying_it_once() {
    let host = Netns::new();
    let verb = (0u16..4, 0u8..5, any_rules()).prop_map(|(slot, kind, rules)| match kind {
        0 => Verb::Detach { slot: Slot(slot) },
        1 => Verb::Policy {
            slot: Slot(slot),
            rules,
        },
        2 => Verb::Rebuild,
        _ => Verb::Attach(attach(slot, rules)),
    });
    let listing = || {
        host.sh("ip -br link | awk '{print $1}' | sort; ip neigh show nud permanent | sort") + &filter(&host)
    };
    let mut runner = TestRunner::new(Config {
        cases: 8,
        failure_persistence: None,
        ..Config::default()
    });
    let tested = runner.run(&prop::collection::vec(verb, 1..8), |verbs| {
        let state = tempfile::tempdir().unwrap();
        let (mut helper, _) = helper(&host, state.path(), usize::MAX, false);
        host.run(|| {
            prop_assert_eq!(helper.handle(Verb::Prepare(quiet())), Reply::Done);
            for verb in &verbs {
                helper.handle(verb.clone());
                let once = listing();
                helper.handle(verb.clone());
                same(&listing(), &once, &format!("{verbs:?}"));
            }
            prop_assert_eq!(findings(&mut helper), []);
            let once = listing();
            prop_assert_eq!(helper.handle(Verb::Rebuild), Reply::Done);
            same(&listing(), &once, &format!("{verbs:?}"));
            prop_assert_eq!(helper.handle(Verb::Teardown), Reply::Done);
            Ok(())
        })
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}
