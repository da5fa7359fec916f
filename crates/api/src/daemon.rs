//! The daemon about itself and its host.

use serde::{Deserialize, Serialize};

/// What `bangerd` exits with when another one serves the user: `EX_TEMPFAIL` of sysexits(3).
pub const ANOTHER_RUNS: u8 = 75;

/// The version of the API. Whoever adds to the API raises `minor`; whoever changes or removes what there is raises `major`. A client
/// understands each daemon of its own major version whose minor version is not lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiVersion {
    /// Raised by what an earlier client does not understand.
    pub major: u32,
    /// Raised by what an earlier client does not need.
    pub minor: u32,
}

impl ApiVersion {
    /// That of this crate.
    pub const CURRENT: Self = Self { major: 1, minor: 2 };

    /// Before there were versions.
    pub const NONE: Self = Self { major: 0, minor: 0 };

    /// Whether a client of this version understands a daemon of that one.
    pub const fn understands(self, daemon: Self) -> bool {
        self.major == daemon.major && self.minor <= daemon.minor
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::NONE
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Version {
    /// banger's version.
    pub version: String,
    /// The version of its API; 0.0 in daemons that had none.
    #[serde(default)]
    pub api: ApiVersion,
    /// What tells two builds of one version apart: see [`Version::build_of`].
    pub build: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Machines that run now.
    pub machines: u32,
    /// Shells, commands and copies that go through the daemon now, and end with it.
    #[serde(default)]
    pub streams: u32,
    /// The groups that the daemon is in; absent in those of earlier versions.
    #[serde(default)]
    pub groups: Option<Vec<u32>>,
}

/// How the daemon is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct DaemonStop {
    /// Also with shells, commands or copies open, which end with it.
    pub force: bool,
}

impl Version {
    /// What tells the build of an executable apart from others: a digest (64-bit FNV-1a) of its length, time and inode,
    /// which is enough to notice that it was replaced and costs no reading.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn build_of(executable: &std::path::Path) -> std::io::Result<String> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(executable)?;
        let facts = [
            metadata.len(),
            metadata.ino(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
        ];
        let bytes = facts.iter().flat_map(|fact| fact.to_le_bytes());
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Ok(format!("{digest:016x}"))
    }
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
    /// The command that fixes it.
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
    /// banger cannot work until it is fixed.
    Failed,
}
