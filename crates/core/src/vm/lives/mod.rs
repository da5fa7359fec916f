//! Every verb of a VM's life, with a failure, a cancellation and a crash of the daemon at every step, and beside every other verb.

mod faults;
mod furnishing;
mod guest;
mod logs;
mod machine;
mod names;
mod pauses;
mod queue;
mod times;
mod unsaved;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_api::{ErrorBody, VmSet};
use banger_model::{ErrorCode, Phase, WaitFor};
use banger_request::Reporter;

use self::machine::{Step, Trouble};
use self::world::{Daemon, PATIENCE, World};
use crate::vm::Vms;

/// What a guest gets to power itself off.
const GRACE: Duration = Duration::from_secs(2);

/// The steps of a start.
const START: [Step; 3] = [Step::Launch, Step::Hello, Step::Configure];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Restart,
    Kill,
    Set,
    Delete,
}

const VERBS: [Verb; 6] = [
    Verb::Start,
    Verb::Stop,
    Verb::Restart,
    Verb::Kill,
    Verb::Set,
    Verb::Delete,
];

/// Has a VM obey.
async fn obey(vms: &Vms, name: &str, verb: Verb) -> Result<(), ErrorBody> {
    let say = Reporter::default();
    let Ok(vm) = vms.find(name) else { return Ok(()) };
    match verb {
        Verb::Start => {
            let started = vm.start(WaitFor::Agent, Vec::new(), &say, Instant::now()).await;
            started.map(drop)
        }
        Verb::Stop => vms.stop(name, GRACE).await.map(drop),
        Verb::Restart => vm.restart(GRACE, WaitFor::Agent, Vec::new(), &say).await,
        Verb::Kill => vm.kill().await,
        Verb::Set => {
            let labels = [("of".to_owned(), "test".to_owned())].into();
            vm.set(VmSet {
                labels,
                ..VmSet::default()
            })
            .await
        }
        Verb::Delete => vms.delete(name, true).await.map(drop),
    }
}

fn run(daemon: &Daemon, name: &str, verb: Verb) -> Result<(), ErrorBody> {
    daemon.run(obey(&daemon.vms, name, verb))
}

/// The VM works: it starts, stops and can be deleted.
fn works(world: &World, daemon: &Daemon, case: &str) {
    for (verb, phase) in [
        (Verb::Start, Some(Phase::Running)),
        (Verb::Restart, Some(Phase::Running)),
        (Verb::Stop, Some(Phase::Stopped)),
        (Verb::Delete, None),
    ] {
        run(daemon, "vm", verb).unwrap_or_else(|error| panic!("{case}: {verb:?}: {error:?}"));
        assert_eq!(daemon.phase("vm"), phase, "{case}: after {verb:?}");
        world.check(daemon, case);
    }
}

#[test]
fn a_failure_at_each_step_of_a_start_leaves_nothing() {
    let world = World::new();
    let daemon = world.daemon();
    for step in START {
        let case = format!("{step:?} fails");
        world.create(&daemon, "vm");
        world.vmm.set(step, Some(Trouble::Fails));
        let error = run(&daemon, "vm", Verb::Start).expect_err(&case);
        assert!(
            matches!(error.code, ErrorCode::Vmm | ErrorCode::Guest),
            "{case}: {error:?}"
        );
        assert_eq!(daemon.phase("vm"), Some(Phase::Failed), "{case}");
        world.check(&daemon, &case);
        world.vmm.set(step, None);
        works(&world, &daemon, &case);
    }
}

#[test]
fn a_failure_at_each_step_of_an_end_ends_the_machine_all_the_same() {
    let world = World::new();
    let daemon = world.daemon();
    for verb in [Verb::Stop, Verb::Restart, Verb::Delete] {
        for steps in [&[Step::Shutdown][..], &[Step::Shutdown, Step::End][..]] {
            let case = format!("{steps:?} fail in {verb:?}");
            world.create(&daemon, "vm");
            run(&daemon, "vm", Verb::Start).expect(&case);
            for step in steps {
                world.vmm.set(*step, Some(Trouble::Fails));
            }
            // That the guest did not power itself off is said; it has ended all the same.
            match (verb, run(&daemon, "vm", verb)) {
                (Verb::Delete, outcome) => outcome.expect(&case),
                (_, outcome) => {
                    let error = outcome.expect_err(&case);
                    assert!(error.message.contains("did not power off"), "{case}: {error:?}");
                }
            }
            assert_ne!(daemon.phase("vm"), Some(Phase::Running), "{case}");
            world.check(&daemon, &case);
            for step in steps {
                world.vmm.set(*step, None);
            }
            if daemon.phase("vm").is_some() {
                works(&world, &daemon, &case);
            }
        }
    }
}

#[test]
fn a_start_is_cancelled_at_each_step_by_its_caller_and_by_verbs_that_end_it() {
    let world = World::new();
    let daemon = world.daemon();
    for step in START {
        for by in [None, Some(Verb::Stop), Some(Verb::Kill), Some(Verb::Delete)] {
            let case = format!("{step:?} is cancelled by {by:?}");
            world.create(&daemon, "vm");
            world.vmm.set(step, Some(Trouble::Stands));
            daemon.run(async {
                let start = obey(&daemon.vms, "vm", Verb::Start);
                let end = async {
                    world.vmm.stands().await;
                    if let Some(verb) = by {
                        obey(&daemon.vms, "vm", verb).await.expect(&case);
                    }
                };
                match by {
                    // The caller leaves.
                    None => tokio::select! {
                        started = start => panic!("{case}: {started:?}"),
                        () = end => {}
                    },
                    Some(_) => {
                        let (started, ()) = tokio::join!(start, end);
                        assert_eq!(started.expect_err(&case).code, ErrorCode::Cancelled, "{case}");
                    }
                }
            });
            let rest = [Some(Phase::Stopped), Some(Phase::Failed), None];
            world.until(&daemon, "vm", &rest, &case);
            world.check(&daemon, &case);
            world.vmm.set(step, None);
            if daemon.phase("vm").is_some() {
                works(&world, &daemon, &case);
            }
        }
    }
}

#[test]
fn a_caller_that_leaves_an_ending_verb_leaves_a_whole_vm_or_none() {
    let world = World::new();
    let daemon = world.daemon();
    let steps = [
        (Verb::Stop, Step::Shutdown, Some(Phase::Stopped)),
        // A start that nobody waits for is cancelled.
        (Verb::Restart, Step::Shutdown, Some(Phase::Stopped)),
        (Verb::Kill, Step::Kill, Some(Phase::Stopped)),
        (Verb::Delete, Step::Kill, None),
    ];
    let starts = START.map(|step| (Verb::Restart, step, Some(Phase::Stopped)));
    for (verb, step, phase) in steps.into_iter().chain(starts) {
        let case = format!("the caller of {verb:?} leaves at {step:?}");
        world.create(&daemon, "vm");
        run(&daemon, "vm", Verb::Start).expect(&case);
        world.vmm.set(step, Some(Trouble::Stands));
        daemon.run(async {
            tokio::select! {
                done = obey(&daemon.vms, "vm", verb) => panic!("{case}: {done:?}"),
                () = world.vmm.stands() => {}
            }
        });
        world.vmm.set(step, None);
        let failed = phase.and(Some(Phase::Failed));
        world.until(&daemon, "vm", &[phase, failed], &case);
        settle(&daemon);
        world.check(&daemon, &case);
        // Its name is free again where it is gone.
        if phase.is_none() {
            world.create(&daemon, "vm");
        }
        works(&world, &daemon, &case);
    }
}

#[test]
fn a_caller_that_leaves_a_create_at_any_instant_leaves_a_whole_vm_or_none() {
    let world = World::new();
    let daemon = world.daemon();
    for starts in [false, true] {
        for step in 0..40 {
            let case = format!("the caller of a create leaves after {step} steps, starts: {starts}");
            let created = daemon.run(async {
                tokio::select! {
                    biased;
                    created = world.creating(&daemon, "vm", starts) => Some(created),
                    () = tokio::time::sleep(Duration::from_micros(100 * step)) => None,
                }
            });
            match created {
                Some(created) => created.expect(&case),
                // What goes on yet ends by itself, and then the name is free.
                None => daemon.run(created_soon(&world, &daemon, &case)),
            }
            world.check(&daemon, &case);
            run(&daemon, "vm", Verb::Delete).expect(&case);
            world.check(&daemon, &case);
        }
    }
}

/// Creates the VM as soon as its name is free, and says what is in the way when that does not come.
async fn created_soon(world: &World, daemon: &Daemon, case: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = world.creating(daemon, "vm", false).await {
        assert_eq!(error.code, ErrorCode::AlreadyExists, "{case}: {error:?}");
        let known = daemon.vms.find("vm").map(|handle| handle.state());
        assert!(Instant::now() < deadline, "{case}: {error:?}; {known:?}");
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
}

#[test]
fn a_name_is_free_when_its_vm_is_deleted_whoever_asks_for_it_meanwhile() {
    let world = World::new();
    let daemon = world.daemon();
    for round in 0..200 {
        let case = format!("a create beside a delete, round {round}");
        world.create(&daemon, "vm");
        daemon.run(async {
            let deleted = obey(&daemon.vms, "vm", Verb::Delete);
            let (deleted, ()) = tokio::join!(deleted, created_soon(&world, &daemon, &case));
            deleted.expect(&case);
        });
        world.check(&daemon, &case);
        run(&daemon, "vm", Verb::Delete).expect(&case);
        world.check(&daemon, &case);
    }
}

/// Kills the daemon while a step of a verb stands still, and gives the next one.
fn crash(world: &World, daemon: Daemon, verb: Verb, step: Step) -> Daemon {
    world.vmm.set(step, Some(Trouble::Stands));
    let vms = Arc::clone(&daemon.vms);
    let mut request = Box::pin(async move { obey(&vms, "vm", verb).await });
    daemon.run(async {
        tokio::select! {
            done = &mut request => panic!("{verb:?} at {step:?}: {done:?}"),
            () = world.vmm.stands() => {}
        }
    });
    // A daemon that is killed does not see that its caller leaves: nothing is cancelled.
    std::mem::forget(request);
    drop(daemon);
    world.vmm.set(step, None);
    world.daemon()
}

/// Waits until nothing is owed, which is a moment after a VM's phase says so.
fn settle(daemon: &Daemon) {
    let is_settled = || {
        let intents = daemon.vms.context().database.intents();
        intents.is_ok_and(|intents| intents.is_empty())
    };
    let deadline = Instant::now() + PATIENCE;
    while !is_settled() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_crash_at_each_step_is_finished_by_the_next_daemon() {
    let stop = [Step::Shutdown, Step::Kill];
    let cases = START
        .map(|step| (Verb::Start, step, Phase::Stopped))
        .into_iter()
        .map(|(verb, step, phase)| (verb, step, Some(phase)))
        .chain([(Verb::Stop, stop[0], Some(Phase::Stopped))])
        .chain([(Verb::Restart, stop[0], Some(Phase::Running))])
        .chain([(Verb::Kill, stop[1], Some(Phase::Stopped))])
        .chain([(Verb::Delete, stop[1], None)])
        .chain(START.map(|step| (Verb::Restart, step, Some(Phase::Running))));
    for (verb, step, phase) in cases {
        let case = format!("a crash in {verb:?} at {step:?}");
        let world = World::new();
        let daemon = world.daemon();
        world.create(&daemon, "vm");
        if verb != Verb::Start {
            run(&daemon, "vm", Verb::Start).expect(&case);
        }
        let next = crash(&world, daemon, verb, step);
        world.until(&next, "vm", &[phase], &case);
        settle(&next);
        world.check(&next, &case);
        if phase.is_some() {
            works(&world, &next, &case);
        }
    }
}

#[test]
fn every_pair_of_verbs_at_once_leaves_one_whole_vm_or_none() {
    let world = World::new();
    let daemon = world.daemon();
    for runs in [false, true] {
        for first in VERBS {
            for second in VERBS {
                let case = format!("{first:?} beside {second:?}, running: {runs}");
                world.create(&daemon, "vm");
                if runs {
                    run(&daemon, "vm", Verb::Start).expect(&case);
                }
                daemon.run(async {
                    let both = async {
                        tokio::join!(obey(&daemon.vms, "vm", first), obey(&daemon.vms, "vm", second))
                    };
                    let ended = tokio::time::timeout(Duration::from_secs(30), both).await;
                    // Whether each may happen is the lifecycle's; that both end is what counts here.
                    let _ = ended.expect(&case);
                });
                let rest = [
                    Some(Phase::Running),
                    Some(Phase::Stopped),
                    Some(Phase::Failed),
                    None,
                ];
                world.until(&daemon, "vm", &rest, &case);
                world.check(&daemon, &case);
                run(&daemon, "vm", Verb::Delete).expect(&case);
                world.check(&daemon, &case);
            }
        }
    }
}
