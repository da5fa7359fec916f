//! What is to become of a VM, stored before it is begun, and what a new daemon does with it when the one that began has died.
//!
//! A verb is a few steps, each of which changes what is stored or what exists. A daemon may die between any two of them. The next
//! one sees the intent that is stored and what is left of a machine, and [`finish`] says what it owes. The tests cut every verb at
//! every step, and the finishing, too.

use serde::{Deserialize, Serialize};

/// A verb that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// The guest is to power itself off, and has this long.
    Stop {
        /// Milliseconds.
        grace_ms: u64,
    },
    /// Its machine is to end at once.
    Kill,
    /// It is to stop, and to start again.
    Restart {
        /// Milliseconds that the guest's power-off may take.
        grace_ms: u64,
    },
    /// It is to be no more.
    Delete,
}

/// What is left of a VM's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing that runs; files may be left.
    Nothing,
    /// A machine that was being started: its guest was not ready.
    Starting,
    /// A machine whose guest had been ready.
    Running,
}

/// What a new daemon does with a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It takes back what is left of a machine; the VM is stopped.
    Rest,
    /// The machine runs on.
    Adopt,
    /// It adopts the machine and goes on ending it, with this much patience.
    End {
        /// Milliseconds that the guest's power-off may take; none for a kill.
        grace_ms: Option<u64>,
    },
    /// It adopts the machine, ends it, and starts the VM.
    EndAndStart {
        /// Milliseconds that the guest's power-off may take.
        grace_ms: u64,
    },
    /// It takes back what is left of a machine, and starts the VM.
    Start,
    /// It removes the VM.
    Remove,
}

/// What a new daemon owes a VM. `removes_on_exit` says that the VM goes with the command that it was made for: one that runs
/// on may have that command in it, which outlives a daemon; one that does not has lost it.
pub const fn finish(intent: Option<Intent>, removes_on_exit: bool, left: Left) -> Finish {
    match (intent, left) {
        (Some(Intent::Delete), _) => Finish::Remove,
        (None, Left::Running) => Finish::Adopt,
        _ if removes_on_exit => Finish::Remove,
        (Some(Intent::Stop { grace_ms }), Left::Running) => Finish::End {
            grace_ms: Some(grace_ms),
        },
        (Some(Intent::Kill), Left::Running) => Finish::End { grace_ms: None },
        (Some(Intent::Restart { grace_ms }), Left::Running) => Finish::EndAndStart { grace_ms },
        (Some(Intent::Restart { .. }), Left::Nothing | Left::Starting) => Finish::Start,
        (None | Some(Intent::Stop { .. } | Intent::Kill), Left::Nothing | Left::Starting) => Finish::Rest,
    }
}

impl Intent {
    /// The command that asked for it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Stop { .. } => "vm stop",
            Self::Kill => "vm kill",
            Self::Restart { .. } => "vm restart",
            Self::Delete => "vm delete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is stored and what exists of one VM.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct World {
        exists: bool,
        has_disk: bool,
        intent: Option<Intent>,
        removes_on_exit: bool,
        machine: Left,
    }

    /// One step, after which a daemon may die.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Intend(Intent),
        EndMachine,
        /// The machine is gone, and with it the intent to end it.
        Settle,
        Launch,
        /// The guest is ready, and with that a restart is done.
        Ready,
        RemoveDisk,
        Forget,
    }

    fn take(world: &mut World, step: Step) {
        match step {
            Step::Intend(intent) => world.intent = Some(intent),
            Step::EndMachine => world.machine = Left::Nothing,
            Step::Settle => world.intent = None,
            Step::Launch => {
                assert_eq!(world.machine, Left::Nothing, "two machines write one disk");
                assert!(world.has_disk);
                world.machine = Left::Starting;
            }
            Step::Ready => (world.machine, world.intent) = (Left::Running, None),
            Step::RemoveDisk => {
                assert_eq!(world.machine, Left::Nothing, "a machine lost its disk");
                world.has_disk = false;
            }
            Step::Forget => world.exists = false,
        }
    }

    const REMOVAL: [Step; 3] = [Step::EndMachine, Step::RemoveDisk, Step::Forget];

    fn steps(intent: Intent) -> Vec<Step> {
        let mut steps = vec![Step::Intend(intent)];
        match intent {
            Intent::Stop { .. } | Intent::Kill => steps.extend([Step::EndMachine, Step::Settle]),
            Intent::Restart { .. } => steps.extend([Step::EndMachine, Step::Launch, Step::Ready]),
            Intent::Delete => steps.extend(REMOVAL),
        }
        steps
    }

    /// What a new daemon does, which begins its own verbs with their intents as any other.
    fn recovery(world: &World) -> Vec<Step> {
        if !world.exists {
            return Vec::new();
        }
        match finish(world.intent, world.removes_on_exit, world.machine) {
            Finish::Adopt => Vec::new(),
            Finish::Rest => vec![Step::EndMachine, Step::Settle],
            Finish::End { grace_ms } => {
                steps(grace_ms.map_or(Intent::Kill, |grace_ms| Intent::Stop { grace_ms }))
            }
            Finish::EndAndStart { grace_ms } => steps(Intent::Restart { grace_ms }),
            Finish::Start => vec![Step::EndMachine, Step::Launch, Step::Ready],
            Finish::Remove => REMOVAL.to_vec(),
        }
    }

    fn intents() -> impl Strategy<Value = Intent> {
        prop_oneof![
            any::<u64>().prop_map(|grace_ms| Intent::Stop { grace_ms }),
            Just(Intent::Kill),
            any::<u64>().prop_map(|grace_ms| Intent::Restart { grace_ms }),
            Just(Intent::Delete),
        ]
    }

    proptest! {
        /// However often daemons die in the middle of a verb and of finishing it, the verb is done in the end.
        #[test]
        fn what_was_begun_is_finished(
            intent in intents(),
            runs in any::<bool>(),
            removes_on_exit in any::<bool>(),
            cuts in prop::collection::vec(0_usize..6, 1..5),
        ) {
            let mut world = World {
                exists: true,
                has_disk: true,
                intent: None,
                removes_on_exit,
                machine: if runs { Left::Running } else { Left::Nothing },
            };
            let mut work = steps(intent);
            // It was begun: without that, nothing is owed.
            take(&mut world, work.remove(0));
            for cut in cuts {
                work.iter().take(cut).for_each(|&step| if world.exists { take(&mut world, step) });
                work = recovery(&world);
            }
            work.into_iter().for_each(|step| if world.exists { take(&mut world, step) });
            // And nothing more is owed then.
            let settled = recovery(&world);
            settled.into_iter().for_each(|step| if world.exists { take(&mut world, step) });
            let gone = removes_on_exit || intent == Intent::Delete;
            // One that was restarted and runs may have its command in it, which holds it, or is waited for.
            let is_held = matches!(intent, Intent::Restart { .. }) && world.machine == Left::Running;
            prop_assert_eq!(world.exists, !gone || removes_on_exit && is_held);
            if world.exists {
                let runs = matches!(intent, Intent::Restart { .. });
                prop_assert_eq!(world.machine, if runs { Left::Running } else { Left::Nothing });
                prop_assert_eq!(world.intent, None);
                prop_assert!(world.has_disk);
            }
        }

        /// A start is not an intent: who asked for it has gone, so what is half started is taken back.
        #[test]
        fn a_start_that_was_cut_is_taken_back(is_ready in any::<bool>()) {
            let left = if is_ready { Left::Running } else { Left::Starting };
            // Whether or not it goes with its command: that may be in a guest that is ready.
            prop_assert_eq!(finish(None, true, left), if is_ready { Finish::Adopt } else { Finish::Remove });
            let expected = if is_ready { Finish::Adopt } else { Finish::Rest };
            prop_assert_eq!(finish(None, false, left), expected);
        }
    }
}
