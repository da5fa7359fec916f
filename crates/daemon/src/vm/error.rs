//! Why something could not be done with a VM.

use std::path::PathBuf;
use std::time::Duration;

use banger_api::UnsavedWorkspace;
use banger_forward as forward;
use banger_model::network::InvalidAllow;
use banger_model::{ByteSize, Denied, Describe, ErrorCode, InvalidSpec, Phase, Stage, VmName, shell_word};

use crate::backends;

/// A failure about one VM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No VM of that name.
    #[error("there is no VM `{name}`")]
    NotFound { name: String, near: Option<String> },
    /// The name is taken.
    #[error("a VM `{0}` exists already")]
    Exists(VmName),
    /// All generated names that were tried are taken.
    #[error("find a free name for the VM")]
    NoFreeName,
    /// What a repository asks for is not applied.
    #[error(transparent)]
    Repository(Box<crate::trust::Error>),
    /// It would have more memory than the host.
    #[error("VM `{name}` cannot have {wanted} of memory: this host has {host}")]
    TooLarge {
        name: VmName,
        wanted: ByteSize,
        host: ByteSize,
    },
    /// The VM is in a phase in which this cannot happen.
    #[error("VM `{name}`")]
    Denied {
        name: VmName,
        #[source]
        source: Denied,
    },
    /// Nobody said that a VM may be deleted although it runs.
    #[error("VM `{name}` is {phase}")]
    StillRuns { name: VmName, phase: Phase },
    /// Nobody said that work may be lost.
    #[error("VM `{name}` has work at {} that was not brought back: {}", .work.guest_path, .work.what)]
    Unsaved { name: VmName, work: UnsavedWorkspace },
    /// It takes a running VM.
    #[error("VM `{name}` is {phase}, not running")]
    NotRunning { name: VmName, phase: Phase },
    /// Its machine stands still.
    #[error("VM `{name}` is paused: {why}")]
    Paused { name: VmName, why: &'static str },
    /// A machine that is not this VM's, or not seen, has a disk of it.
    #[error("the disk {} is in use by a machine", .0.display())]
    DiskInUse(PathBuf),
    /// There is too little space for a guest to write anything.
    #[error("VM `{name}` cannot start: {} has {free} free, and a guest needs {needed}", .dir.display())]
    NoSpace {
        name: VmName,
        dir: PathBuf,
        free: ByteSize,
        needed: ByteSize,
    },
    /// It takes a VM without a machine.
    #[error("VM `{name}` is {phase}: {what} can only change while it is stopped")]
    NeedsStopped {
        name: VmName,
        phase: Phase,
        what: &'static str,
    },
    /// Disks only grow.
    #[error("the disk of VM `{name}` has {now} and cannot shrink to {wanted}")]
    Shrink {
        name: VmName,
        now: ByteSize,
        wanted: ByteSize,
    },
    /// A number or name of the request breaks a rule.
    #[error("specify the VM")]
    Invalid(#[source] InvalidSpec),
    /// A rule of an allow list is none.
    #[error("understand what the VM may reach")]
    Allow(#[source] InvalidAllow),
    /// A preset that the configuration does not have.
    #[error("there is no preset `@{name}`")]
    NoPreset { name: String, present: Vec<String> },
    /// The network.
    #[error("give VM `{name}` its network")]
    Network {
        name: VmName,
        #[source]
        source: banger_hostnet::Error,
    },
    /// The network does not let go of a VM.
    #[error("take the VM's network card away")]
    Detach(#[source] banger_hostnet::Error),
    /// Nothing says which image or kernel to boot.
    #[error("no {kind} is named, and there is no default")]
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
    #[error("prepare {what}")]
    Store {
        what: &'static str,
        #[source]
        source: banger_image::Error,
    },
    /// A kernel, or their store.
    #[error("prepare {what}")]
    Kernel {
        what: &'static str,
        #[source]
        source: banger_kernel::Error,
    },
    /// Its disk was written to while it was copied.
    #[error("VM `{0}` changed while its disk was copied")]
    Disturbed(VmName),
    /// The kernel or VMM cannot run such a VM.
    #[error("VM `{name}` cannot run like this: {reason}")]
    Unsupported { name: VmName, reason: String },
    /// No VMM.
    #[error("choose a VMM")]
    Backend(#[source] backends::Error),
    /// The database failed.
    #[error("keep the state of VM `{name}`")]
    Database {
        name: VmName,
        #[source]
        source: banger_state::Error,
    },
    /// A machine's row could not be deleted.
    #[error("forget the machine")]
    Forget(#[source] banger_state::Error),
    /// A file or directory of the VM.
    #[error("{what} {}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A disk of the VM.
    #[error("{what} the disk {}", .path.display())]
    Disk {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: banger_image::DiskError,
    },
    /// The VMM failed.
    #[error("{what} the machine of VM `{name}`")]
    Machine {
        what: &'static str,
        name: VmName,
        #[source]
        source: banger_vmm::Error,
    },
    /// The guest's first word.
    #[error("boot VM `{name}`")]
    Knock {
        name: VmName,
        #[source]
        source: banger_guest_link::KnockError,
        console: Option<String>,
    },
    /// The machine ended before its guest was ready.
    #[error("the machine of VM `{name}` ended in stage {stage}: {how}")]
    Ended {
        name: VmName,
        stage: Stage,
        how: String,
        console: Option<String>,
    },
    /// A running machine ended badly.
    #[error("the machine of VM `{name}` died: {how}")]
    Died {
        name: VmName,
        how: String,
        console: Option<String>,
    },
    /// The guest could not power itself off.
    #[error(
        "VM `{name}` is stopped, but its guest did not power off ({why}): what it had not written is lost"
    )]
    Cut { name: VmName, why: String },
    /// The guest said nothing in time.
    #[error("the guest of VM `{name}` said nothing for {} s in stage {stage}", .after.as_secs())]
    Silent {
        name: VmName,
        stage: Stage,
        after: Duration,
        console: Option<String>,
    },
    /// The agent refused or is gone.
    #[error("speak to the guest of VM `{name}`")]
    Guest {
        name: VmName,
        #[source]
        source: Box<banger_guest_link::Error>,
        console: Option<String>,
    },
    /// A port of it is not forwarded.
    #[error("forward a port of VM `{name}`")]
    Forward {
        name: VmName,
        #[source]
        source: forward::Error,
    },
    /// Nothing listens on the guest's SSH port.
    #[error("VM `{0}` runs, but no SSH server listens in it")]
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
    #[error("get random bytes from the system")]
    Random(#[source] std::io::Error),
    /// A thread of blocking work panicked.
    #[error("{0} (a defect of banger: see the daemon's log)")]
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

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Exists(_) => ErrorCode::AlreadyExists,
            Self::Denied { .. }
            | Self::StillRuns { .. }
            | Self::Unsaved { .. }
            | Self::NotRunning { .. }
            | Self::Paused { .. }
            | Self::DiskInUse(_)
            | Self::NeedsStopped { .. }
            | Self::Gone(_)
            | Self::Disturbed(_) => ErrorCode::WrongPhase,
            Self::Repository(source) => source.code(),
            Self::Shrink { .. }
            | Self::TooLarge { .. }
            | Self::Invalid(_)
            | Self::Allow(_)
            | Self::NoPreset { .. }
            | Self::NoDefault { .. }
            | Self::NoFreeName => ErrorCode::InvalidRequest,
            Self::Network { source, .. } | Self::Detach(source) => source.code(),
            Self::Store { source, .. } => source.code(),
            Self::Kernel { source, .. } => source.code(),
            Self::Unsupported { .. } => ErrorCode::Unsupported,
            Self::Backend(source) => source.code(),
            Self::Database { source, .. } | Self::Forget(source) => source.code(),
            Self::Config(source) => source.code(),
            Self::File { .. } | Self::Disk { .. } | Self::NoSpace { .. } | Self::Random(_) => ErrorCode::Host,
            Self::Machine { .. } | Self::Ended { .. } | Self::Died { .. } => ErrorCode::Vmm,
            Self::Knock { .. } | Self::NoSsh(_) | Self::SshSilent(_) | Self::Cut { .. } => ErrorCode::Guest,
            Self::Silent { .. } => ErrorCode::Timeout,
            Self::Guest { source, .. } => source.code(),
            Self::Forward { source, .. } => source.code(),
            Self::Cancelled(_) => ErrorCode::Cancelled,
            Self::Defect(_) => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotFound { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotFound { near: None, .. } => "`banger vm list` names them all".to_owned(),
            Self::Exists(name) => format!("choose another name, or remove it: `banger vm stop {name} && banger vm delete {name}`"),
            Self::StillRuns { name, .. } => format!(
                "stop it with `banger vm stop {name}`, or end and delete it with `banger vm delete -f {name}`"
            ),
            Self::Unsaved { name, work } => {
                let path = shell_word(&work.guest_path);
                return vec![
                    format!("start it and bring it back: `banger vm start {name} && banger vm workspace pull {name} {path}`"),
                    format!("or lose it with `banger vm delete -f {name}`"),
                ];
            }
            Self::NotRunning { name, .. } => format!("start it with `banger vm start {name}`"),
            Self::Paused { name, .. } => {
                return vec![
                    "free space on the file system of VM disks: `banger cache prune` and `banger image prune` remove what \
                     can be fetched again; the VM goes on by itself"
                        .to_owned(),
                    format!("or end it and lose what it has not written: `banger vm kill {name}`"),
                ];
            }
            Self::NoSpace { .. } => {
                "free space: `banger cache prune` and `banger image prune` remove what can be fetched again".to_owned()
            }
            Self::DiskInUse(_) => {
                "another banger runs it, such as one in a container that shares these files: stop the VM there"
                    .to_owned()
            }
            Self::NeedsStopped { name, .. } => {
                format!("stop it first: `banger vm stop {name}`; or add `--restart`, which starts it again")
            }
            Self::Disturbed(name) => format!(
                "try again; a guest stands still for a minute at most, so stop it first if its disk is large: \
                 `banger vm stop {name}`"
            ),
            Self::NoDefault { kind, present } => no_default(kind, present),
            Self::Allow(_) => {
                "rules are HOST[:PORT], CIDR[:PORT], *.DOMAIN[:PORT], vm:NAME, host:PORT and @PRESET"
                    .to_owned()
            }
            Self::Invalid(InvalidSpec::Rules(_)) => {
                "allow wider blocks, such as 10.0.0.0/8, or names, such as `*.example.org`, which are not counted".to_owned()
            }
            Self::NoPreset { present, .. } if present.is_empty() => {
                "define it in config.toml: `[allow]` with `NAME = [\"RULE\", …]`".to_owned()
            }
            Self::NoPreset { present, .. } => format!("there are: @{}", present.join(", @")),
            Self::Network {
                name,
                source: banger_hostnet::Error::HostPort { port },
            } => format!("`banger vm forward add {name} --reverse {port}:{port}` leads to the host's 127.0.0.1"),
            Self::Network { source, .. } | Self::Detach(source) => return source.hints(),
            Self::NoSsh(name) => {
                format!("install one in the image, or leave out `--sshd`: `banger vm ssh {name}` needs none")
            }
            Self::Silent { name, .. } => {
                format!("`banger vm create --vmm qemu` tells whether VM `{name}` boots under another VMM")
            }
            Self::Unsupported { .. } => {
                "`banger kernel list` and `banger doctor` show what is possible".to_owned()
            }
            Self::Repository(source) => return source.hints(),
            Self::TooLarge { host, .. } => {
                format!("choose less, such as `--memory {}M`", host.as_mib() / 2)
            }
            Self::Store { source, .. } => return source.hints(),
            Self::Backend(source) => return source.hints(),
            Self::Config(source) => return source.hints(),
            Self::Database { source, .. } | Self::Forget(source) => return source.hints(),
            Self::Machine { source, .. } => return source.hints(),
            Self::Guest { name, source, .. } => return source.hints_for(name.as_str()),
            Self::Forward {
                name,
                source: forward::Error::Silent,
            } => format!("look at the guest's console with `banger vm logs {name}`"),
            Self::Forward { source, .. } => return source.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }

    fn log(&self) -> Option<String> {
        match self {
            Self::Knock { console, .. }
            | Self::Ended { console, .. }
            | Self::Died { console, .. }
            | Self::Silent { console, .. }
            | Self::Guest { console, .. } => console.clone(),
            Self::Machine { source, .. } => source.log().map(str::to_owned),
            _ => None,
        }
    }
}

fn no_default(kind: &str, present: &[String]) -> String {
    match (kind, present) {
        ("kernel", []) => {
            "import one: `banger kernel import debian --package linux-image-cloud-amd64`".to_owned()
        }
        (_, []) => "import one: `mmdebstrap --variant=minbase --include=git bookworm - | \
                    banger image import --name debian-bookworm -`"
            .to_owned(),
        (kind, present) => format!(
            "there are: {}; name one with `--{kind}`, or for good with `banger {kind} default {}`",
            present.join(", "),
            present[0]
        ),
    }
}
