//! The life of a VM, as one pure transition function.
//!
//! ```text
//!                Start               Ready               Pause
//!  Stopped ────────────▶ Starting ─────────▶ Running ◀─────────▶ Paused
//!     ▲                   │   │                 │       Resume     │
//!     │       StartFailed │   │ Stop            │ Stop             │ Stop
//!     │                   ▼   └────────┐        ▼                  │
//!     │   Start ◀─────  Failed         └───▶ Stopping ◀────────────┘
//!     │  (as Stopped)                           │
//!     └──────────── Exited ─────────────────────┘  (also from Running and Paused)
//! ```
//!
//! Only the daemon's task for a VM applies events; everyone else reads the phase it publishes.

use serde::{Deserialize, Serialize};

/// Where a VM is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No machine exists; disks and record do.
    Stopped,
    /// A machine is being launched, or its guest has not pushed its readiness yet.
    Starting,
    /// The guest answers.
    Running,
    /// The machine's vCPUs are halted; its memory is kept.
    Paused,
    /// The guest was asked to power off, or the machine is being killed.
    Stopping,
    /// The last start failed; nothing of it is left. It can be started again.
    Failed,
}

/// What happens to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Someone asks for a start.
    Start,
    /// The guest pushed its readiness.
    Ready,
    /// The start failed and has been undone.
    StartFailed,
    /// Someone asks for the vCPUs to halt.
    Pause,
    /// Someone asks for the vCPUs to run again.
    Resume,
    /// Someone asks for a power-off or a kill.
    Stop,
    /// The machine's process ended, for whatever reason.
    Exited,
}

/// An event that makes no sense in the phase the VM is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a VM that is {phase} cannot {}", event.verb())]
pub struct Denied {
    /// The phase the VM is in.
    pub phase: Phase,
    /// The event that was refused.
    pub event: Event,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Paused,
        Self::Stopping,
        Self::Failed,
    ];

    /// The phase after `event`, or why it cannot happen now.
    ///
    /// # Errors
    /// [`Denied`] when the event has no meaning in this phase. The phase is then unchanged.
    pub fn on(self, event: Event) -> Result<Self, Denied> {
        use Phase::{Failed, Paused, Running, Starting, Stopped, Stopping};
        match (self, event) {
            (Stopped | Failed, Event::Start) => Ok(Starting),
            (Starting, Event::Ready) => Ok(Running),
            (Starting, Event::StartFailed) => Ok(Failed),
            (Running, Event::Pause) => Ok(Paused),
            (Paused, Event::Resume) => Ok(Running),
            (Starting | Running | Paused | Stopping, Event::Stop) => Ok(Stopping),
            // A machine that dies while it starts is a failed start; the start's own undo reports it.
            (Running | Paused | Stopping, Event::Exited) => Ok(Stopped),
            _ => Err(Denied { phase: self, event }),
        }
    }

    /// Whether a machine may exist in this phase.
    pub const fn may_have_machine(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Paused | Self::Stopping
        )
    }

    /// The phase as the word that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::Ready,
        Self::StartFailed,
        Self::Pause,
        Self::Resume,
        Self::Stop,
        Self::Exited,
    ];

    const fn verb(self) -> &'static str {
        match self {
            Self::Start => "be started",
            Self::Ready => "become ready",
            Self::StartFailed => "fail to start",
            Self::Pause => "be paused",
            Self::Resume => "be resumed",
            Self::Stop => "be stopped",
            Self::Exited => "exit",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Vec<Event>> {
        prop::collection::vec(prop::sample::select(Event::ALL.to_vec()), 0..40)
    }

    proptest! {
        /// Whatever happens to a VM, it can be brought to rest and started again.
        #[test]
        fn every_life_can_be_ended_and_begun_again(events in events()) {
            let phase = events.into_iter().fold(Phase::Stopped, |phase, event| phase.on(event).unwrap_or(phase));
            let at_rest = match phase {
                Phase::Stopped | Phase::Failed => phase,
                alive => alive.on(Event::Stop).unwrap().on(Event::Exited).unwrap(),
            };
            prop_assert!(!at_rest.may_have_machine());
            prop_assert_eq!(at_rest.on(Event::Start), Ok(Phase::Starting));
        }

        /// A VM runs only after its guest said so: no path skips `Ready`.
        #[test]
        fn running_is_only_reached_through_ready(events in events()) {
            let mut phase = Phase::Stopped;
            let mut ready = false;
            for event in events {
                let Ok(next) = phase.on(event) else { continue };
                ready = match event {
                    Event::Ready => true,
                    Event::Start => false,
                    _ => ready,
                };
                prop_assert!(next != Phase::Running || ready);
                phase = next;
            }
        }
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refusal = Phase::Running.on(Event::Start).unwrap_err();
        assert_eq!(refusal.to_string(), "a VM that is running cannot be started");
    }
}
