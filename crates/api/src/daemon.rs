//! The daemon about itself and its host.

use serde::{Deserialize, Serialize};

/// Which daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Version {
    /// banger's version.
    pub version: String,
    /// What tells two builds of one version apart: a digest of the executable, in hexadecimal.
    pub build: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Machines that run now.
    pub machines: u32,
}

/// What `banger doctor` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DoctorReport {
    /// Which VMM `auto` picks and why, in one sentence.
    pub verdict: String,
    /// Whether VMs can be started at all.
    pub usable: bool,
    /// Every check that was made.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// A short, stable name, such as `kvm`.
    pub name: String,
    /// How it is.
    pub status: CheckStatus,
    /// What was seen, in one sentence.
    pub message: String,
    /// The one command that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// banger works, with less.
    Warning,
    /// banger cannot work until it is mended.
    Failed,
}
