//! Work that the host does not have: it keeps a VM from going, whoever asks.

use banger_api::Prune;
use banger_model::{ErrorCode, Phase};

use super::machine::Step;
use super::world::{Daemon, World};
use super::{GRACE, Verb, run};
use crate::vm::State;

fn state(daemon: &Daemon) -> State {
    daemon.vms.find("vm").expect("it is there").state()
}

/// Places a workspace in the VM, of which `checked` was seen last.
fn place(daemon: &Daemon, checked: Option<&str>) {
    let files = daemon.vms.context().files(state(daemon).spec.id);
    let dir = files.dir().join("workspaces");
    std::fs::create_dir_all(&dir).expect("a directory");
    let record = serde_json::json!({
        "guest_path": "/root/repo", "source": "/nowhere", "common": "/nowhere", "namespace": "vm", "readonly": false,
        "generation": "1", "state": "", "index": "", "head": null, "base": "", "base_tree": "", "has_changes": false,
        "history": {"full": true, "commits": [], "shallow": []}, "files": {}, "checked": checked,
    });
    std::fs::write(dir.join("repo.json"), record.to_string()).expect("a record");
}

#[test]
fn a_vm_with_unsaved_work_goes_by_force_alone_which_says_what_was_lost() {
    let world = World::new();
    let daemon = world.daemon();
    // What was seen, and what was never looked at: that is no work less.
    for checked in [Some("2 commits"), None] {
        world.create(&daemon, "vm");
        place(&daemon, checked);
        let refused = daemon
            .run(daemon.vms.delete("vm", false))
            .expect_err("it has work");
        assert_eq!(refused.code, ErrorCode::WrongPhase, "{refused:?}");
        for dry_run in [true, false] {
            let prune = Prune {
                dry_run,
                ..Prune::default()
            };
            let pruned = daemon.run(daemon.vms.prune_vms(&prune)).expect("a prune");
            assert_eq!(
                (pruned.names.len(), pruned.kept.len()),
                (0, 1),
                "{checked:?}: {pruned:?}"
            );
        }
        assert_eq!(daemon.phase("vm"), Some(Phase::Stopped));
        let lost = daemon.run(daemon.vms.delete("vm", true)).expect("by force");
        let what: Vec<&str> = lost
            .left
            .iter()
            .map(|left| left.workspace.what.as_str())
            .collect();
        assert_eq!(
            what,
            [checked.unwrap_or("unknown: the VM ended before the workspace was checked")]
        );
        assert_eq!(daemon.phase("vm"), None);
    }
    // What the host has keeps nobody.
    world.create(&daemon, "vm");
    place(&daemon, Some(""));
    daemon
        .run(daemon.vms.delete("vm", false))
        .expect("nothing is lost");
    world.check(&daemon, "deleted");
}

#[test]
fn a_prune_leaves_a_vm_that_runs_and_does_not_speak_of_it() {
    let world = World::new();
    let daemon = world.daemon();
    world.create(&daemon, "vm");
    run(&daemon, "vm", Verb::Start).expect("a start");
    let pruned = daemon
        .run(daemon.vms.prune_vms(&Prune::default()))
        .expect("a prune");
    assert_eq!((pruned.names.len(), pruned.kept.len()), (0, 0), "{pruned:?}");
    assert_eq!(daemon.phase("vm"), Some(Phase::Running));
}

#[test]
fn auto_export_pulls_before_a_vm_stops_and_says_what_it_could_not_pull() {
    let world = World::new();
    let daemon = world.daemon();
    let stopped = |exports: bool| {
        world.configure(&format!("auto_export = {exports}\n"));
        world.create(&daemon, "vm");
        run(&daemon, "vm", Verb::Start).expect("a start");
        place(&daemon, None);
        let (_, work) = daemon.run(daemon.vms.stop("vm", GRACE)).expect("a stop");
        daemon.run(daemon.vms.delete("vm", true)).expect("by force");
        let left = work.left.into_iter().next().expect("work");
        left.failure.is_some()
    };
    // The guest of this test has no git: a pull is tried, and fails.
    assert!(!stopped(false), "nobody asked for a pull");
    assert!(stopped(true), "nothing was pulled");
}

#[test]
fn a_vm_that_goes_with_its_command_stays_if_its_work_cannot_be_pulled() {
    let world = World::new();
    let daemon = world.daemon();
    for (exports, stays) in [(true, true), (false, false)] {
        world.configure(&format!("auto_export = {exports}\n"));
        world.create_for_a_command(&daemon, "vm");
        place(&daemon, None);
        world.vmm.begun();
        let held = daemon
            .run(async { daemon.vms.hold("vm") })
            .expect("it is there")
            .expect("it goes");
        daemon.run(async { drop(held) });
        if stays {
            // It is noticed on the VM, which runs on.
            let deadline = std::time::Instant::now() + super::PATIENCE;
            while state(&daemon).notice.is_none() {
                assert!(std::time::Instant::now() < deadline, "the VM has no notice");
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            assert!(daemon.phase("vm").is_some());
            daemon.run(daemon.vms.delete("vm", true)).expect("by force");
        } else {
            world.until(&daemon, "vm", &[None], "it goes");
            assert!(world.vmm.begun().contains(&Step::Kill), "its machine is ended");
        }
    }
}
