//! What deadlines a guest gets that does not answer. The clock is paused while it stands still, and passes by itself.

use std::time::Duration;

use banger_api::ErrorBody;
use banger_model::{ErrorCode, Phase};

use super::machine::{Step, Trouble};
use super::world::{Daemon, World};
use super::{GRACE, Verb, obey, run, works};

/// Has the VM obey and tells how long that took by the daemon's clock, which passes at once when a step stands still.
fn timed(world: &World, daemon: &Daemon, verb: Verb) -> (Result<(), ErrorBody>, Duration) {
    daemon.run(async {
        let since = tokio::time::Instant::now();
        let stands = async {
            world.vmm.stands().await;
            // What a guest says comes by a socket, for which a paused clock does not wait.
            tokio::time::sleep(Duration::from_millis(20)).await;
            tokio::time::pause();
        };
        let (outcome, ()) = tokio::join!(obey(&daemon.vms, "vm", verb), stands);
        let took = since.elapsed();
        tokio::time::resume();
        (outcome, took)
    })
}

#[test]
fn a_guest_that_says_nothing_is_given_up_after_its_deadline() {
    for step in [Step::Hello, Step::Configure] {
        let case = format!("{step:?} never comes");
        let world = World::new();
        let daemon = world.daemon_with_clock();
        world.create(&daemon, "vm");
        world.vmm.set(step, Some(Trouble::Stands));
        let (outcome, took) = timed(&world, &daemon, Verb::Start);
        let error = outcome.expect_err(&case);
        assert_eq!(error.code, ErrorCode::Timeout, "{case}: {error:?}");
        assert!(took >= Duration::from_secs(10), "{case}: given up after {took:?}");
        assert!(
            took <= Duration::from_secs(600),
            "{case}: given up after {took:?}"
        );
        assert_eq!(daemon.phase("vm"), Some(Phase::Failed), "{case}");
        world.check(&daemon, &case);
        world.vmm.set(step, None);
        works(&world, &daemon, &case);
    }
}

#[test]
fn a_guest_that_does_not_power_off_is_ended_after_its_grace_and_that_is_said() {
    // The agent gets 15 s to sync on top of the grace; four attempts of 5 s to answer; the VMM 3 s to end.
    let lies = GRACE + Duration::from_secs(15);
    for (shutdown, end, longest) in [
        (Trouble::Lies, None, lies),
        (Trouble::Stands, None, Duration::from_secs(20)),
        (Trouble::Lies, Some(Trouble::Lies), lies + Duration::from_secs(3)),
    ] {
        for verb in [Verb::Stop, Verb::Restart] {
            let case = format!("{verb:?} where the guest {shutdown:?} and the VMM {end:?}");
            let world = World::new();
            let daemon = world.daemon_with_clock();
            world.create(&daemon, "vm");
            run(&daemon, "vm", Verb::Start).expect(&case);
            world.vmm.set(Step::Shutdown, Some(shutdown));
            world.vmm.set(Step::End, end);
            let (outcome, took) = timed(&world, &daemon, verb);
            let error = outcome.expect_err(&case);
            assert!(error.message.contains("did not"), "{case}: {error:?}");
            assert!(took >= longest, "{case}: ended after {took:?}");
            // An answer that came too late for the clock is asked for again.
            assert!(
                took <= longest + Duration::from_secs(25),
                "{case}: ended after {took:?}"
            );
            assert_eq!(daemon.phase("vm"), Some(Phase::Stopped), "{case}");
            world.check(&daemon, &case);
            world.vmm.set(Step::Shutdown, None);
            world.vmm.set(Step::End, None);
            works(&world, &daemon, &case);
        }
    }
}
