//! A machine that stands still because the host's disk is full.

use banger_model::{ErrorCode, Phase};

use super::machine::{Step, Trouble};
use super::world::{Daemon, World};
use super::{Verb, run, works};

/// A VM that stands still for as long as `Step::Resume` fails.
fn paused(world: &World, daemon: &Daemon, case: &str) {
    world.create(daemon, "vm");
    run(daemon, "vm", Verb::Start).expect(case);
    world.vmm.set(Step::Resume, Some(Trouble::Fails));
    world.vmm.stall();
    world.until(daemon, "vm", &[Some(Phase::Paused)], case);
}

#[test]
fn a_vm_that_stands_still_is_neither_started_nor_stopped_but_may_be_ended() {
    for (verb, after) in [
        (Verb::Start, Err(Phase::Paused)),
        (Verb::Stop, Err(Phase::Paused)),
        (Verb::Restart, Err(Phase::Paused)),
        (Verb::Set, Ok(Some(Phase::Paused))),
        (Verb::Kill, Ok(Some(Phase::Stopped))),
        (Verb::Delete, Ok(None)),
    ] {
        let case = format!("{verb:?} while it stands still");
        let world = World::new();
        let daemon = world.daemon();
        paused(&world, &daemon, &case);
        let outcome = run(&daemon, "vm", verb);
        let phase = match after {
            Ok(phase) => {
                outcome.expect(&case);
                phase
            }
            Err(phase) => {
                let error = outcome.expect_err(&case);
                assert_eq!(error.code, ErrorCode::WrongPhase, "{case}: {error:?}");
                assert!(!error.hints.is_empty(), "{case}: it says nothing of what to do");
                Some(phase)
            }
        };
        assert_eq!(daemon.phase("vm"), phase, "{case}");
        world.vmm.set(Step::Resume, None);
        if phase == Some(Phase::Paused) {
            world.until(&daemon, "vm", &[Some(Phase::Running)], &case);
        }
        world.check(&daemon, &case);
        if phase.is_some() {
            works(&world, &daemon, &case);
        }
    }
}

#[test]
fn a_vm_that_stands_still_is_taken_over_and_goes_on() {
    let world = World::new();
    let daemon = world.daemon();
    paused(&world, &daemon, "before");
    drop(daemon);
    let next = world.daemon();
    world.until(&next, "vm", &[Some(Phase::Paused)], "taken over");
    world.vmm.set(Step::Resume, None);
    world.until(&next, "vm", &[Some(Phase::Running)], "there is space");
    world.check(&next, "there is space");
    works(&world, &next, "there is space");
}

#[test]
fn a_machine_that_ends_while_it_stands_still_is_cleared_up() {
    let world = World::new();
    let daemon = world.daemon();
    paused(&world, &daemon, "before");
    world.vmm.end_all();
    world.until(
        &daemon,
        "vm",
        &[Some(Phase::Stopped), Some(Phase::Failed)],
        "ended",
    );
    world.vmm.set(Step::Resume, None);
    world.check(&daemon, "ended");
    works(&world, &daemon, "ended");
}
