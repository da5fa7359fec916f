//! Why something could not be done with a VM.

use std::path::PathBuf;
use std::time::Duration;

use banger_api::UnsavedWorkspace;
use banger_forward as forward;
use banger_model::network::InvalidAllow;
use banger_model::{ByteSize, Denied, InvalidSpec, Phase, Stage, VmName};

/// A failure about one VM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No VM of that name.
    #[error("there is no VM `{name}`")]
    NotFound {
        /// Its name.
        name: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// The name is taken.
    #[error("VM `{0}` already exists")]
    Exists(VmName),
    /// All generated names that were tried are taken.
    #[error("failed to find a free name for the VM")]
    NoFreeName,
    /// What a repository asks for is not applied.
    #[error(transparent)]
    Repository(Box<crate::trust::Error>),
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
    /// The VM is in a phase in which this cannot happen.
    #[error("failed to change the state of VM `{name}`")]
    Denied {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: Denied,
    },
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
    /// A machine that is not this VM's, or not seen, has a disk of it.
    #[error("the disk {} is in use by another VMM process", .0.display())]
    DiskInUse(PathBuf),
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
    /// The network.
    #[error("failed to set up the network of VM `{name}`")]
    Network {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_hostnet::Error,
    },
    /// The network does not let go of a VM.
    #[error("failed to detach the VM from its network")]
    Detach(#[source] banger_hostnet::Error),
    /// Nothing says which image or kernel to boot.
    #[error("no {kind} was specified, and there is no default {kind}")]
    NoDefault {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The names there are.
        present: Vec<String>,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] banger_settings::Error),
    /// An image, or their store.
    #[error("failed to prepare {what}")]
    Store {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: banger_image::Error,
    },
    /// A kernel, or their store.
    #[error("failed to prepare {what}")]
    Kernel {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: banger_kernel::Error,
    },
    /// Its disk was written to while it was copied.
    #[error("VM `{0}` changed while its disk was copied")]
    Disturbed(VmName),
    /// The kernel or VMM cannot run such a VM.
    #[error("not supported for VM `{name}`: {reason}")]
    Unsupported {
        /// Its name.
        name: VmName,
        /// Why.
        reason: String,
    },
    /// No VMM.
    #[error("failed to choose a VMM")]
    Backend(#[source] banger_backends::Error),
    /// The database failed.
    #[error("failed to access the state of VM `{name}`")]
    Database {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_state::Error,
    },
    /// A machine's row could not be deleted.
    #[error("failed to delete the record of the VM's process")]
    Forget(#[source] banger_state::Error),
    /// A file or directory of the VM.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A disk of the VM.
    #[error("failed to {what} the disk {}", .path.display())]
    Disk {
        /// What was done.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_image::DiskError,
    },
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
    Knock {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_guest_link::KnockError,
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
    /// Nothing listens on the guest's SSH port.
    #[error("VM `{0}` is running, but no SSH server listens in it")]
    NoSsh(VmName),
    /// The agent's SSH server says nothing.
    #[error("the SSH server of VM `{0}` does not answer")]
    SshSilent(VmName),
    /// The caller went away or something ended the VM.
    #[error("the start of VM `{0}` was cancelled")]
    Cancelled(VmName),
    /// The VM's task is gone: it was deleted.
    #[error("VM `{0}` was deleted meanwhile")]
    Gone(VmName),
    /// The system's source of randomness failed.
    #[error("failed to get random bytes from the system")]
    Random(#[source] std::io::Error),
    /// A thread of blocking work panicked.
    #[error("{0} (a bug in banger: see the daemon's log)")]
    Defect(&'static str),
}

impl Error {
    /// What a failure of the agent of that VM is, once it has booted.
    pub(crate) fn of_guest(name: &VmName) -> impl FnOnce(banger_guest_link::Error) -> Self + use<> {
        let name = name.clone();
        |source| Self::Guest {
            name,
            source: Box::new(source),
            console: None,
        }
    }

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
