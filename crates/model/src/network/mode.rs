//! Which way a VM reaches anything.

use serde::{Deserialize, Serialize};

/// The most rules that one VM may have.
pub const MAX_RULES: usize = 256;

/// How much of the network a VM reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetMode {
    /// Nothing.
    #[default]
    Off,
    /// The public Internet, and what is allowed.
    Nat,
    /// Only what is allowed.
    Allow,
    /// As `Nat` through banger's resolver alone, and each new flow is recorded.
    Learn,
}

impl NetMode {
    /// The mode as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Nat => "nat",
            Self::Allow => "allow",
            Self::Learn => "learn",
        }
    }
}

/// Rules that break a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// Too many.
    #[error("{0} network rules are too many: a VM can have at most {MAX_RULES}")]
    TooMany(usize),
    /// No packet has port 0.
    #[error("invalid port 0 in a network rule: expected 1 to 65535")]
    Port,
}
