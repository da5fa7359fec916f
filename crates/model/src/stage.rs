//! The stages of a start, in order, as people see them and as figures name them.

use serde::{Deserialize, Serialize};

/// One stage of a VM's start. A stage is reported when it ends, with the time it took.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Names, image, kernel and backend are resolved and the record is stored.
    Plan,
    /// The writable disk and the initrd exist.
    Disks,
    /// The card has its TAP and its rules (only where there is a network).
    Network,
    /// The VMM process runs and has accepted its machine.
    Launch,
    /// From the machine's start to the agent's first word: the guest kernel and its initrd.
    Kernel,
    /// The agent is configured and has mounted the root; it pushed `Ready`.
    Configure,
    /// The image's init reached its default target (only with `--wait init`).
    Init,
}

impl Stage {
    /// The stage as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Disks => "disks",
            Self::Network => "network",
            Self::Launch => "launch",
            Self::Kernel => "kernel",
            Self::Configure => "configure",
            Self::Init => "init",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
