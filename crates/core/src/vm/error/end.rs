//! Why a VM did not end, is not deleted, or ended badly.

use banger_api::UnsavedWorkspace;
use banger_model::{Describe, Description, ErrorCode, Phase, VmName, shell_word};

/// The end of a machine or of a VM.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// Nobody said that a VM may be deleted although it runs.
    #[error("VM `{name}` is {phase}")]
    StillRuns {
        /// Its name.
        name: VmName,
        /// Its phase.
        phase: Phase,
    },
    /// Nobody said that work may be lost.
    #[error("VM `{name}` has unsaved work at {}: {}", .work.guest_path, .work.what)]
    Unsaved {
        /// Its name.
        name: VmName,
        /// What was not brought back.
        work: UnsavedWorkspace,
    },
    /// The guest could not power itself off.
    #[error(
        "VM `{name}` is stopped, but its guest did not power off ({why}): data that it had not written is lost"
    )]
    Cut {
        /// Its name.
        name: VmName,
        /// Why.
        why: String,
    },
    /// A running machine ended badly.
    #[error("VM `{name}` ended unexpectedly: {how}")]
    Died {
        /// Its name.
        name: VmName,
        /// How.
        how: String,
        /// The end of its console.
        console: Option<String>,
    },
    /// The network does not let go of a VM.
    #[error("failed to detach the VM from its network")]
    Detach(#[source] banger_hostnet::Error),
    /// A machine's row could not be deleted.
    #[error("failed to delete the record of the VM's process")]
    Forget(#[source] banger_state::Error),
}

impl Describe for EndError {
    fn describe(&self) -> Description {
        match self {
            Self::StillRuns { name, .. } => Description::hinted(
                ErrorCode::WrongPhase,
                format!(
                    "stop the VM with `banger vm stop {name}`, or end and delete it with `banger vm delete -f {name}`"
                ),
            ),
            Self::Unsaved { name, work } => {
                let path = shell_word(&work.guest_path);
                let hints = Description::hinted(
                    ErrorCode::WrongPhase,
                    format!(
                        "start the VM and pull the work: `banger vm start {name} && banger vm workspace pull {name} {path}`"
                    ),
                );
                let hints = match work.known {
                    true => hints,
                    false => hints.and(format!(
                        "`banger vm workspace status {name} {path}` lists what a pull cannot bring; `banger vm cp {name}:{path} copy` copies all files"
                    )),
                };
                hints.and(format!("or discard the work: `banger vm delete -f {name}`"))
            }
            Self::Cut { .. } => ErrorCode::Guest.into(),
            Self::Died { console, .. } => Description::from(ErrorCode::Vmm).with_log(console.clone()),
            Self::Detach(source) => source.describe(),
            Self::Forget(source) => source.describe(),
        }
    }
}
