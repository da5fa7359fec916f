//! Why something could not be done with a VM: an enum for each operation, and one for what can happen to all of them.
//!
//! Each variant has one description: its code, hints and log ([`Describe`]).

mod access;
mod create;
mod end;
mod spec;
mod start;

use std::path::PathBuf;

use banger_model::{Denied, Describe, Description, ErrorCode, VmName};

pub(crate) use self::access::AccessError;
pub(crate) use self::create::CreateError;
pub(crate) use self::end::EndError;
pub(crate) use self::spec::SpecError;
pub(crate) use self::start::StartError;

/// A failure about one VM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It cannot be so.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It did not end, or ended badly.
    #[error(transparent)]
    End(#[from] EndError),
    /// It does not do what it was asked for.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No VM of that name.
    #[error("there is no VM `{name}`")]
    NotFound {
        /// Its name.
        name: String,
        /// What was probably meant.
        near: Option<String>,
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
    /// A machine that is not this VM's, or not seen, has a disk of it.
    #[error("the disk {} is in use by another VMM process", .0.display())]
    DiskInUse(PathBuf),
    /// The network.
    #[error("failed to set up the network of VM `{name}`")]
    Network {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_hostnet::Error,
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
    /// The database failed.
    #[error("failed to access the state of VM `{name}`")]
    Database {
        /// Its name.
        name: VmName,
        /// Why.
        #[source]
        source: banger_state::Error,
    },
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
    /// Whether the VMM or the host's KVM, and not the VM, may be why it did not boot.
    pub(crate) fn may_be_the_vmm(&self) -> bool {
        matches!(self, Self::Start(error) if error.may_be_the_vmm())
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Create(error) => error.describe(),
            Self::Spec(error) => error.describe(),
            Self::Start(error) => error.describe(),
            Self::End(error) => error.describe(),
            Self::Access(error) => error.describe(),
            Self::NotFound { near: Some(near), .. } => {
                Description::hinted(ErrorCode::NotFound, format!("did you mean `{near}`?"))
            }
            Self::NotFound { near: None, .. } => {
                Description::hinted(ErrorCode::NotFound, "`banger vm list` lists all VMs")
            }
            Self::Denied { .. } | Self::Gone(_) => ErrorCode::WrongPhase.into(),
            Self::DiskInUse(_) => Description::hinted(
                ErrorCode::WrongPhase,
                "another banger runs the VM, such as one in a container that shares these files: stop the VM there",
            ),
            Self::Network {
                name,
                source: source @ banger_hostnet::Error::HostPort { port },
            } => Description::hinted(
                source.describe().code,
                format!(
                    "`banger vm forward add {name} --reverse {port}:{port}` reaches the host's 127.0.0.1:{port}"
                ),
            ),
            Self::Network { source, .. } => source.describe(),
            Self::Config(source) => source.describe(),
            Self::Store { source, .. } => source.describe(),
            Self::Kernel { source, .. } => source.describe().code.into(),
            Self::Disturbed(name) => Description::hinted(
                ErrorCode::WrongPhase,
                format!(
                    "try again; a guest is paused for a minute at most, so stop the VM first if its disk is large: \
                     `banger vm stop {name}`"
                ),
            ),
            Self::Unsupported { .. } => Description::hinted(
                ErrorCode::Unsupported,
                "`banger kernel list` and `banger doctor` show what is supported",
            ),
            Self::Database { source, .. } => source.describe(),
            Self::File { .. } | Self::Disk { .. } | Self::Random(_) => ErrorCode::Host.into(),
            Self::Defect(_) => ErrorCode::Internal.into(),
        }
    }
}
