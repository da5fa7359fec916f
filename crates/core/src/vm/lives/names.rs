//! A VM gets another name, beside every other verb; and whoever waits for a VM hears of it.

use std::time::Duration;

use banger_api::{Awaited, ErrorBody};
use banger_model::{ErrorCode, Phase};

use super::machine::{Step, Trouble};
use super::world::{Daemon, World};
use super::{VERBS, Verb, obey, run};
use crate::vm::Vms;

async fn rename(vms: &Vms, old: &str, new: &str) -> Result<(), ErrorBody> {
    let new = new.parse().expect("a name");
    vms.rename(old, new).await.map(drop)
}

fn renamed(daemon: &Daemon, old: &str, new: &str) -> Result<(), ErrorBody> {
    daemon.run(rename(&daemon.vms, old, new))
}

/// Deletes whatever there is.
fn clear(world: &World, daemon: &Daemon, case: &str) {
    for handle in daemon.vms.list() {
        run(daemon, handle.state().spec.name.as_str(), Verb::Delete).expect(case);
    }
    world.check(daemon, case);
}

#[test]
fn a_stopped_vm_is_renamed_and_a_running_one_is_not() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    world.create(&daemon, "taken");
    let id = daemon.vms.find("vm").unwrap().state().spec.id;
    assert_eq!(
        renamed(&daemon, "vm", "taken").unwrap_err().code,
        ErrorCode::AlreadyExists
    );
    renamed(&daemon, "vm", "vm").expect("the name that it has");
    world.check(&daemon, "refused");
    renamed(&daemon, "vm", "web").unwrap();
    world.check(&daemon, "renamed");
    assert_eq!(daemon.phase("vm"), None);
    assert_eq!(daemon.vms.find("web").unwrap().state().spec.id, id);
    run(&daemon, "web", Verb::Start).unwrap();
    let refused = renamed(&daemon, "web", "vm").unwrap_err();
    assert_eq!(refused.code, ErrorCode::WrongPhase);
    assert_eq!(refused.hints, ["stop the VM first: `banger vm stop web`"]);
    run(&daemon, "web", Verb::Stop).unwrap();
    // Both names are free for what they are.
    world.create(&daemon, "vm");
    drop(daemon);
    let next = world.daemon();
    assert_eq!(next.vms.find("web").unwrap().state().spec.id, id);
    clear(&world, &next, "the next daemon");
}

#[test]
fn a_name_that_cannot_be_stored_is_not_taken() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    world.refuse("UPDATE", "vm");
    renamed(&daemon, "vm", "web").unwrap_err();
    world.allow("UPDATE", "vm");
    world.check(&daemon, "refused by the database");
    assert_eq!(daemon.phase("vm"), Some(Phase::Stopped));
    world.create(&daemon, "web");
    clear(&world, &daemon, "both");
}

#[test]
fn a_rename_beside_every_verb_leaves_one_vm_of_one_name_or_none() {
    let world = World::new();
    let daemon = world.daemon();
    for runs in [false, true] {
        for verb in VERBS {
            for renames_first in [false, true] {
                let case = format!("a rename beside {verb:?}, running: {runs}, first: {renames_first}");
                world.create(&daemon, "vm");
                if runs {
                    run(&daemon, "vm", Verb::Start).expect(&case);
                }
                daemon.run(async {
                    let (rename, verb) = (rename(&daemon.vms, "vm", "web"), obey(&daemon.vms, "vm", verb));
                    let both = async {
                        match renames_first {
                            true => drop(tokio::join!(rename, verb)),
                            false => drop(tokio::join!(verb, rename)),
                        }
                    };
                    let ended = tokio::time::timeout(Duration::from_secs(30), both).await;
                    ended.expect(&case);
                });
                world.check(&daemon, &case);
                assert!(
                    daemon.vms.list().len() <= 1,
                    "{case}: one VM became {:?}",
                    daemon.vms.list()
                );
                clear(&world, &daemon, &case);
            }
        }
    }
}

#[test]
fn a_name_goes_to_one_of_those_who_want_it_at_once() {
    let world = World::new();
    let daemon = world.daemon();
    for round in 0..50 {
        let case = format!("round {round}");
        world.create(&daemon, "a");
        world.create(&daemon, "b");
        let outcomes = daemon.run(async {
            let (a, b) = (rename(&daemon.vms, "a", "c"), rename(&daemon.vms, "b", "c"));
            let (a, b, c, d) = tokio::join!(
                a,
                b,
                world.creating(&daemon, "c", false),
                world.creating(&daemon, "a", false)
            );
            // The name that `a` had may be free by then or not.
            drop(d);
            [a, b, c]
        });
        let got = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(got, 1, "{case}: {outcomes:?}");
        world.check(&daemon, &case);
        clear(&world, &daemon, &case);
    }
}

#[test]
fn whoever_waits_hears_of_each_end_and_of_a_start() {
    let world = World::new();
    let daemon = world.daemon();
    let wait = |awaited| daemon.vms.wait("vm", awaited);
    let beside = |awaited, verb| {
        daemon.run(async {
            let (waited, done) = tokio::join!(wait(awaited), obey(&daemon.vms, "vm", verb));
            (waited, done)
        })
    };
    // What is so already is not waited for.
    world.create(&daemon, "vm");
    assert_eq!(
        daemon.run(wait(Awaited::Stopped)).unwrap().phase,
        Some(Phase::Stopped)
    );
    let (waited, done) = beside(Awaited::Running, Verb::Start);
    done.unwrap();
    assert_eq!(waited.unwrap().phase, Some(Phase::Running));
    let (waited, done) = beside(Awaited::Stopped, Verb::Stop);
    done.unwrap();
    assert_eq!(waited.unwrap().phase, Some(Phase::Stopped));
    // A start that fails is heard of, and an earlier failure is not taken for it.
    world.vmm.set(Step::Launch, Some(Trouble::Fails));
    for _ in 0..2 {
        let (waited, done) = beside(Awaited::Running, Verb::Start);
        done.unwrap_err();
        let waited = waited.unwrap();
        assert_eq!(waited.phase, Some(Phase::Failed));
        assert!(waited.last_error.is_some());
    }
    world.vmm.set(Step::Launch, None);
    let (waited, done) = beside(Awaited::Deleted, Verb::Delete);
    done.unwrap();
    assert_eq!(waited.unwrap().phase, None);
    assert_eq!(daemon.run(wait(Awaited::Deleted)).unwrap().phase, None);
    assert_eq!(
        daemon.run(wait(Awaited::Running)).unwrap_err().code,
        ErrorCode::NotFound
    );
    world.create(&daemon, "vm");
    let (waited, done) = beside(Awaited::Running, Verb::Delete);
    done.unwrap();
    assert_eq!(waited.unwrap_err().code, ErrorCode::WrongPhase);
}
