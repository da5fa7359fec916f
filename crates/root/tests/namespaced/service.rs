//! The helper among the host's other services.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use banger_model::network::{Finding, NetMode, Slot};
use banger_root::wire::Attach;

use crate::world::{World, mac, rules};

pub(crate) fn who_waits_for_it_is_told() {
    let mut world = World::lonely();
    world.kill();
    let manager = world.state.path().join("notify");
    let heard = UnixDatagram::bind(&manager).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    world.start_by(&["env", &format!("NOTIFY_SOCKET={}", manager.display())]);
    let mut word = [0; 64];
    let length = heard.recv(&mut word).unwrap();
    assert_eq!(&word[..length], b"READY=1\n");
    assert!(world.socket().exists(), "it said so before anyone could connect");
}

pub(crate) fn what_it_made_can_be_removed_without_it() {
    let mut world = World::lonely();
    let before = world.snapshot();
    let attach = Attach {
        slot: Slot(0),
        mac: mac(0),
        rules: rules(NetMode::Nat, &[]),
    };
    world.prepared().attach(attach).unwrap();
    let teardown = |world: &World| {
        let mut command = world.command(&[], "teardown");
        world.host.run(|| command.output().unwrap())
    };
    // Not behind the back of the one that serves.
    let refused = teardown(&world);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && words.contains("another banger-root already serves"),
        "{words}"
    );
    world.kill();
    for _ in 0..2 {
        let done = teardown(&world);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(world.snapshot(), before);
    }
    let left = std::fs::read_dir(world.state.path().join("state")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// Runs what follows where systemd-resolved seems to run, and `$1` is its `resolvectl`.
const RESOLVED: &str = "mkdir -p $0/bin && cp $1 $0/bin/resolvectl && mount -t tmpfs none /run && \
     mkdir -p /run/systemd/resolve && touch /run/systemd/resolve/io.systemd.Resolve && \
     mount -t overlay none -o lowerdir=$0/bin:/usr/bin /usr/bin && shift && exec \"$@\"";

pub(crate) fn the_hosts_resolver_is_told() {
    let mut world = World::lonely();
    world.prepared();
    let mut findings = |resolvectl: &str, patience: Duration| {
        world.kill();
        let dir = world.state.path().display().to_string();
        world.start_by(&["unshare", "--mount", "sh", "-ec", RESOLVED, &dir, resolvectl]);
        // It is told beside what else is done, and no reply waits for that.
        let start = Instant::now();
        loop {
            let findings = world.client().audit().unwrap();
            if !findings.is_empty() || start.elapsed() > patience {
                return findings;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // One that takes anything.
    assert_eq!(findings("/bin/true", Duration::from_millis(300)), []);
    // One that says what it was given: there are no such files.
    let failed = findings("/bin/ls", Duration::from_secs(10));
    let [Finding { problem, hint }] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    assert!(
        problem.contains("resolvectl default-route bgr39u no failed"),
        "{problem}"
    );
    assert!(problem.contains("cannot access 'default-route'"), "{problem}");
    assert!(hint.contains("docs/networking.md"), "{hint}");
}
