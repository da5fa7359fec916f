//! Why nothing can be done in a VM, which has to run for it.

use banger_forward as forward;
use banger_model::{Describe, Description, ErrorCode, Phase, VmName};

/// A VM does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It takes a running VM.
    #[error("VM `{name}` is {phase}, not running")]
    NotRunning {
        /// Its name.
        name: VmName,
        /// Its phase.
        phase: Phase,
    },
    /// Its machine stands still.
    #[error("VM `{name}` is paused: {why}")]
    Paused {
        /// Its name.
        name: VmName,
        /// Why.
        why: &'static str,
    },
    /// The agent refused or is gone.
    #[error("the request to the guest of VM `{name}` failed")]
    Guest {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: Box<banger_guest_link::Error>,
        /// The end of its console.
        console: Option<String>,
    },
    /// A port of it is not forwarded.
    #[error("failed to change the port forwards of VM `{name}`")]
    Forward {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: forward::Error,
    },
    /// Times are asked for, and the log has none.
    #[error("the {log} of VM `{name}` has no times")]
    NoTimes {
        /// Its name.
        name: VmName,
        /// Which log.
        log: &'static str,
    },
    /// A log is there and cannot be read.
    #[error("failed to read a log of VM `{name}`")]
    Log {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A time that is none.
    #[error("invalid time \"{0}\"")]
    Time(String),
    /// Nothing listens on the guest's SSH port.
    #[error("VM `{0}` is running, but no SSH server listens in it")]
    NoSsh(VmName),
}

impl AccessError {
    /// What a failure of the agent of that VM is, once it has booted.
    pub(crate) fn of_guest(name: &VmName) -> impl FnOnce(banger_guest_link::Error) -> Self + use<> {
        let name = name.clone();
        |source| Self::Guest {
            name,
            source: Box::new(source),
            console: None,
        }
    }
}

impl Describe for AccessError {
    fn describe(&self) -> Description {
        match self {
            Self::NoTimes { name, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("`banger vm logs {name} --tail 100` prints the last lines; times are recorded for the console from a VM's start on"),
            ),
            Self::Log { .. } => ErrorCode::Host.into(),
            Self::Time(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "a time is RFC 3339, such as 2026-11-30T14:00:00Z",
            ),
            Self::NotRunning { name, .. } => Description::hinted(
                ErrorCode::WrongPhase,
                format!("start the VM with `banger vm start {name}`"),
            ),
            Self::Paused { name, .. } => Description::hinted(
                ErrorCode::WrongPhase,
                "free space on the file system of VM disks: `banger cache prune` and `banger image prune` remove data \
                 that can be fetched again; the VM then resumes by itself",
            )
            .and(format!("or end the VM and lose unwritten data: `banger vm kill {name}`")),
            Self::Guest {
                name,
                source,
                console,
            } => source.describe_for(name.as_str()).with_log(console.clone()),
            Self::Forward {
                name,
                source: source @ forward::Error::Silent,
            } => Description::hinted(
                source.describe().code,
                format!("print the guest's console with `banger vm logs {name}`"),
            ),
            Self::Forward { source, .. } => source.describe(),
            Self::NoSsh(name) => Description::hinted(
                ErrorCode::Guest,
                format!("install an SSH server in the image, or omit `--sshd`: `banger vm ssh {name}` does not need one"),
            ),
        }
    }
}
