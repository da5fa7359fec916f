//! A database that refuses a write, in every verb: what was begun is undone or finished, here or by the next daemon.

use banger_api::VmSet;
use banger_model::{ByteSize, Phase};

use super::world::{Daemon, World};
use super::{VERBS, Verb, run, settle, works};

/// The writes of a VM's life. Each is refused in turn, as SQLite does it on a full disk or a broken one.
const WRITES: [(&str, &str); 7] = [
    ("INSERT", "vm"),
    ("UPDATE", "vm"),
    ("DELETE", "vm"),
    ("INSERT", "machine"),
    ("UPDATE", "machine"),
    ("DELETE", "machine"),
    ("INSERT", "boot_verdict"),
];

#[test]
fn a_write_that_is_refused_in_a_verb_leaves_a_vm_that_works() {
    let world = World::new();
    let mut daemon = world.daemon();
    for (operation, table) in WRITES {
        for verb in VERBS {
            for runs in [false, true] {
                let case = format!("{operation} on {table} is refused in {verb:?}, running: {runs}");
                world.create(&daemon, "vm");
                if runs {
                    run(&daemon, "vm", Verb::Start).expect(&case);
                }
                world.refuse(operation, table);
                let outcome = run(&daemon, "vm", verb);
                // What was done before the record of it was refused may stand, but no machine is lost sight of.
                world.check_machines(&daemon, &case);
                world.allow(operation, table);
                daemon = next_daemon(&world, daemon);
                let rest = [
                    Some(Phase::Running),
                    Some(Phase::Stopped),
                    Some(Phase::Failed),
                    None,
                ];
                world.until(&daemon, "vm", &rest, &case);
                settle(&daemon);
                world.check(&daemon, &case);
                if verb == Verb::Delete && outcome.is_ok() {
                    assert_eq!(daemon.phase("vm"), None, "{case}: a deleted VM is there again");
                }
                if verb != Verb::Delete {
                    assert_ne!(
                        daemon.phase("vm"),
                        None,
                        "{case}: a VM is gone that nobody deleted"
                    );
                }
                if daemon.phase("vm").is_some() {
                    works(&world, &daemon, &case);
                }
            }
        }
    }
}

#[test]
fn a_create_whose_record_is_refused_leaves_nothing() {
    for (operation, table) in [("INSERT", "vm"), ("UPDATE", "vm")] {
        let case = format!("{operation} on {table} is refused in a create");
        let world = World::new();
        let daemon = world.daemon();
        world.refuse(operation, table);
        world.try_create(&daemon, "vm").expect_err(&case);
        assert_eq!(daemon.phase("vm"), None, "{case}");
        world.allow(operation, table);
        let next = next_daemon(&world, daemon);
        world.check(&next, &case);
        world.create(&next, "vm");
        works(&world, &next, &case);
    }
}

#[test]
fn a_change_is_stored_and_made_or_neither() {
    let larger = |daemon: &Daemon| {
        daemon.run(async {
            let vm = daemon.vms.find("vm").expect("it is there");
            let set = VmSet {
                disk_size: Some(ByteSize::gib(16)),
                ..VmSet::default()
            };
            vm.set(set).await
        })
    };
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    let before = world.disk_size(&daemon, "vm");
    // Its record cannot be written.
    world.refuse("UPDATE", "vm");
    larger(&daemon).expect_err("the record was refused");
    world.allow("UPDATE", "vm");
    assert_eq!(
        world.disk_size(&daemon, "vm"),
        before,
        "the disk grew without a record"
    );
    // Its disk cannot grow.
    world.hide_disk(&daemon, "vm", true);
    larger(&daemon).expect_err("there was no disk");
    world.hide_disk(&daemon, "vm", false);
    assert_eq!(
        world.disk_size(&daemon, "vm"),
        before,
        "the record grew without a disk"
    );
    let next = next_daemon(&world, daemon);
    assert_eq!(
        world.disk_size(&next, "vm"),
        before,
        "the next daemon knows another size"
    );
    // A caller that leaves before its turn comes changes all or nothing.
    next.run(async {
        let vm = next.vms.find("vm").expect("it is there");
        let set = VmSet {
            disk_size: Some(ByteSize::gib(16)),
            ..VmSet::default()
        };
        tokio::select! {
            biased;
            done = vm.set(set) => done.expect("it came in time"),
            () = std::future::ready(()) => {}
        }
    });
    larger(&next).expect("nothing is in the way");
    let (recorded, on_disk) = world.disk_size(&next, "vm");
    assert_eq!((recorded, on_disk), (16 << 30, 16 << 30));
    works(&world, &next, "after changes");
}

#[test]
fn a_change_that_a_crash_cut_is_made_by_the_next_daemon() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    // It died when the record was written and the disk was not grown.
    let mut spec = daemon.vms.find("vm").expect("it is there").state().spec;
    spec.disk_size = ByteSize::gib(16);
    let stored = daemon.vms.context().database.update_spec(&spec);
    stored.expect("a record");
    let next = next_daemon(&world, daemon);
    assert_eq!(world.disk_size(&next, "vm"), (16 << 30, 16 << 30));
    works(&world, &next, "after a change that was cut");
}

/// The daemon is killed, and the next one comes.
fn next_daemon(world: &World, daemon: Daemon) -> Daemon {
    drop(daemon);
    world.daemon()
}
