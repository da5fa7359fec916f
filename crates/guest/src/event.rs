//! What happens in the guest, pushed to the host.

use serde::{Deserialize, Serialize};

/// A line of the events stream. The first line is always the current [`Event::Init`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The state of the guest's init.
    Init {
        /// The state.
        state: InitState,
    },
    /// The guest powers off or reboots by its own wish.
    Stopping,
}

/// How far the guest's init has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum InitState {
    /// The root is not mounted yet.
    Configuring,
    /// It has not reached its default target.
    Booting,
    /// It reached its default target.
    Up,
    /// It reached its default target, but something failed on the way.
    Degraded {
        /// What failed, such as the names of systemd units.
        failed: Vec<String>,
    },
}
