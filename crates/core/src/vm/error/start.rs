//! Why a VM did not start.

use std::path::PathBuf;
use std::time::Duration;

use banger_model::{ByteSize, Describe, Description, ErrorCode, Stage, VmName};

/// A start failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is too little space for a guest to write anything.
    #[error("VM `{name}` cannot start: {} has {free} free, but a guest needs {needed}", .dir.display())]
    NoSpace {
        /// Its name.
        name: VmName,
        /// The directory.
        dir: PathBuf,
        /// What is free.
        free: ByteSize,
        /// What it needs.
        needed: ByteSize,
    },
    /// No VMM.
    #[error("failed to choose a VMM")]
    Backend(#[source] banger_backends::Error),
    /// The VMM failed.
    #[error("failed to {what} VM `{name}`")]
    Machine {
        /// What was done.
        what: &'static str,
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_vmm::Error,
    },
    /// The guest's first word.
    #[error("failed to boot VM `{name}`")]
    Hello {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_guest_link::HelloError,
        /// The end of its console.
        console: Option<String>,
    },
    /// The machine ended before its guest was ready.
    #[error("VM `{name}` ended unexpectedly in stage {stage}: {how}")]
    Ended {
        /// Its name.
        name: VmName,
        /// The stage.
        stage: Stage,
        /// How.
        how: String,
        /// The end of its console.
        console: Option<String>,
    },
    /// The guest said nothing in time.
    #[error("timed out after {} s waiting for the guest of VM `{name}` to boot (stage {stage})", .after.as_secs())]
    Silent {
        /// Its name.
        name: VmName,
        /// The stage.
        stage: Stage,
        /// After how long.
        after: Duration,
        /// The end of its console.
        console: Option<String>,
    },
    /// The agent's SSH server says nothing.
    #[error("the SSH server of VM `{0}` does not answer")]
    SshSilent(VmName),
    /// The caller went away or something ended the VM.
    #[error("the start of VM `{0}` was cancelled")]
    Cancelled(VmName),
}

impl StartError {
    /// Whether the VMM or the host's KVM, and not the VM, may be why it did not boot: another VMM is worth a try.
    pub(crate) fn may_be_the_vmm(&self) -> bool {
        match self {
            Self::Machine { .. } => true,
            Self::Ended { stage, .. } | Self::Silent { stage, .. } => {
                matches!(stage, Stage::Launch | Stage::Kernel)
            }
            _ => false,
        }
    }
}

impl Describe for StartError {
    fn describe(&self) -> Description {
        match self {
            Self::NoSpace { .. } => Description::hinted(
                ErrorCode::Host,
                "free space: `banger cache prune` and `banger image prune` remove data that can be fetched again",
            ),
            Self::Backend(source) => source.describe(),
            Self::Machine { source, .. } => source.describe(),
            Self::Hello { console, .. } => Description::from(ErrorCode::Guest).with_log(console.clone()),
            Self::Ended { console, .. } => Description::from(ErrorCode::Vmm).with_log(console.clone()),
            Self::Silent { name, console, .. } => Description::hinted(
                ErrorCode::Timeout,
                format!("`banger vm create --vmm qemu` shows whether VM `{name}` boots under another VMM"),
            )
            .with_log(console.clone()),
            Self::SshSilent(_) => ErrorCode::Guest.into(),
            Self::Cancelled(_) => ErrorCode::Cancelled.into(),
        }
    }
}
