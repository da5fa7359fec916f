//! Why a VM cannot be what a request wants it to be, at its creation or later.

use banger_model::network::InvalidAllow;
use banger_model::{ByteSize, Describe, Description, ErrorCode, InvalidSpec, Phase, VmName};

/// A VM cannot be specified so.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It would have more memory than the host.
    #[error("VM `{name}` cannot have {wanted} of memory: this host has {host}")]
    TooLarge {
        /// Its name.
        name: VmName,
        /// What was asked for.
        wanted: ByteSize,
        /// What the host has.
        host: ByteSize,
    },
    /// It takes a VM without a machine.
    #[error("VM `{name}` is {phase}; {what} can only change while the VM is stopped")]
    NeedsStopped {
        /// Its name.
        name: VmName,
        /// Its phase.
        phase: Phase,
        /// What was done.
        what: &'static str,
    },
    /// A machine has its VM's name.
    #[error("VM `{name}` is {phase}; a VM can only be renamed while it is stopped")]
    RenamesAtRest {
        /// Its name.
        name: VmName,
        /// Its phase.
        phase: Phase,
    },
    /// Disks only grow.
    #[error("cannot shrink the disk of VM `{name}` from {now} to {wanted}")]
    Shrink {
        /// Its name.
        name: VmName,
        /// What there is now.
        now: ByteSize,
        /// What was asked for.
        wanted: ByteSize,
    },
    /// A number or name of the request breaks a rule.
    #[error("invalid VM specification")]
    Invalid(#[source] InvalidSpec),
    /// A rule of an allow list is none.
    #[error("failed to parse the network rules of the VM")]
    Allow(#[source] InvalidAllow),
    /// A preset that the configuration does not have.
    #[error("there is no preset `@{name}`")]
    NoPreset {
        /// Its name.
        name: String,
        /// Those there are.
        present: Vec<String>,
    },
}

impl Describe for SpecError {
    fn describe(&self) -> Description {
        match self {
            Self::TooLarge { host, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("choose a smaller size, such as `--memory {}M`", host.as_mib() / 2),
            ),
            Self::NeedsStopped { name, .. } => Description::hinted(
                ErrorCode::WrongPhase,
                format!(
                    "stop the VM first: `banger vm stop {name}`; or add `--restart`, which restarts the VM"
                ),
            ),
            Self::RenamesAtRest { name, .. } => Description::hinted(
                ErrorCode::WrongPhase,
                format!("stop the VM first: `banger vm stop {name}`"),
            ),
            Self::Invalid(InvalidSpec::Rules(_)) => Description::hinted(
                ErrorCode::InvalidRequest,
                "allow wider blocks, such as 10.0.0.0/8, or names, such as `*.example.org`, which are not counted",
            ),
            Self::Shrink { .. } | Self::Invalid(_) => ErrorCode::InvalidRequest.into(),
            Self::Allow(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "rules are HOST[:PORT], CIDR[:PORT], *.DOMAIN[:PORT], vm:NAME, host:PORT and @PRESET",
            ),
            Self::NoPreset { present, .. } if present.is_empty() => Description::hinted(
                ErrorCode::InvalidRequest,
                "define the preset in config.toml: `[allow]` with `NAME = [\"RULE\", …]`",
            ),
            Self::NoPreset { present, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("available: @{}", present.join(", @")),
            ),
        }
    }
}
