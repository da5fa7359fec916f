//! What commands do to work in progress and to commands that wait, and what a start and an end leave behind.

use std::time::{Duration, Instant};

use banger_api::Progress;
use banger_guest_api::SecretName;
use banger_model::{ErrorCode, Phase, WaitFor};
use banger_request::Reporter;
use banger_vmm::Ended;

use super::machine::{Step, Trouble};
use super::world::World;
use super::{Verb, obey, run, settle, works};
use crate::vm::Carried;

#[test]
fn a_start_that_is_called_off_is_no_failure_of_the_vm() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    for verb in [Verb::Stop, Verb::Kill] {
        world.vmm.set(Step::Hello, Some(Trouble::Stands));
        let (started, ended) = daemon.run(async {
            let end = async {
                world.vmm.stands().await;
                obey(&daemon.vms, "vm", verb).await
            };
            tokio::join!(obey(&daemon.vms, "vm", Verb::Start), end)
        });
        world.vmm.set(Step::Hello, None);
        ended.expect("an end");
        assert_eq!(
            started.expect_err("it was called off").code,
            ErrorCode::Cancelled,
            "{verb:?}"
        );
        let state = daemon.vms.find("vm").expect("it is there").state();
        assert_eq!(
            (state.phase, state.last_error),
            (Phase::Stopped, None),
            "{verb:?}"
        );
        works_again(&world, &daemon);
    }
}

fn works_again(world: &World, daemon: &super::world::Daemon) {
    works(world, daemon, "after it was called off");
    world.create(daemon, "vm");
}

#[test]
fn a_kill_ends_a_patient_stop_and_a_start_that_waits_behind_it() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    run(&daemon, "vm", Verb::Start).expect("a start");
    world.vmm.set(Step::Shutdown, Some(Trouble::Stands));
    world.vmm.begun();
    let since = Instant::now();
    let (stopped, started, killed) = daemon.run(async {
        let start = async {
            world.vmm.stands().await;
            obey(&daemon.vms, "vm", Verb::Start).await
        };
        let kill = async {
            world.vmm.stands().await;
            // The start is in the queue.
            tokio::time::sleep(Duration::from_millis(100)).await;
            obey(&daemon.vms, "vm", Verb::Kill).await
        };
        tokio::join!(obey(&daemon.vms, "vm", Verb::Stop), start, kill)
    });
    // Alone, a stop asks a guest that does not answer for 20 s.
    assert!(
        since.elapsed() < Duration::from_secs(10),
        "the kill waited for the stop"
    );
    assert!(stopped.is_ok() && killed.is_ok(), "{stopped:?} {killed:?}");
    assert_eq!(
        started.expect_err("a kill came after it").code,
        ErrorCode::Cancelled
    );
    assert_eq!(daemon.phase("vm"), Some(Phase::Stopped));
    world.vmm.set(Step::Shutdown, None);
    world.check(&daemon, "killed");
}

#[test]
fn a_machine_that_fails_is_the_vms_failure_and_its_companions_are_ended() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    run(&daemon, "vm", Verb::Start).expect("a start");
    world.vmm.begun();
    world.vmm.end_all_by(&Ended::Failed {
        code: Some(7),
        words: "out of memory".to_owned(),
    });
    world.until(
        &daemon,
        "vm",
        &[Some(Phase::Failed), Some(Phase::Stopped)],
        "it failed",
    );
    settle(&daemon);
    let error = daemon.vms.find("vm").expect("it is there").state().last_error;
    let error = error.expect("a reason");
    assert!(error.message.contains("status 7"), "{error:?}");
    assert_eq!(world.vmm.begun(), [Step::Clear]);
    works(&world, &daemon, "it failed");
}

#[test]
fn a_disk_that_another_process_has_is_not_removed() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    let id = daemon.vms.find("vm").expect("it is there").state().spec.id;
    let theirs = daemon.vms.context().files(id).lock().expect("a lock");
    let refused = daemon
        .run(daemon.vms.delete("vm", true))
        .expect_err("it is in use");
    assert_eq!(refused.code, ErrorCode::WrongPhase, "{refused:?}");
    assert_eq!(daemon.phase("vm"), Some(Phase::Stopped));
    world.check(&daemon, "it is in use");
    drop(theirs);
    works(&world, &daemon, "it is free");
}

#[test]
fn a_start_says_which_secrets_the_last_run_had() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    let handle = daemon.vms.find("vm").expect("it is there");
    let name: SecretName = "TOKEN".parse().expect("a name");
    for (given, notes) in [(vec![], 1), (vec!["TOKEN".to_owned()], 0)] {
        let files = daemon.vms.context().files(handle.state().spec.id);
        Carried::of(files.dir()).add_secret(&name).expect("a note");
        let (say, mut reports) = Reporter::channel();
        let started = daemon.run(handle.start(WaitFor::Agent, given, &say, Instant::now()));
        started.expect("a start");
        drop(say);
        let mut said = Vec::new();
        while let Ok(report) = reports.try_recv() {
            said.extend(match report {
                Progress::Note { text } if text.contains("TOKEN") => Some(text),
                _ => None,
            });
        }
        assert_eq!(said.len(), notes, "{said:?}");
        run(&daemon, "vm", Verb::Stop).expect("a stop");
    }
}
