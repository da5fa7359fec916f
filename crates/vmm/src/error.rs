//! Why a machine could not be launched or asked.

use std::path::PathBuf;
use std::time::Duration;

use banger_model::{Describe, Description, ErrorCode};

/// A failure of a backend or of one of its machines.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("`{program}` is not on PATH")]
    Missing {
        /// The program.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// A program could not be started.
    #[error("failed to start {}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or socket of the machine.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A process of the machine ended while the machine was being made.
    #[error("{program} exited during startup ({status})")]
    Died {
        /// The program.
        program: &'static str,
        /// Its exit status, in words.
        status: String,
        /// Its last words.
        words: String,
    },
    /// A program did not get ready in time.
    #[error("{program} did not create its {what} within {} s", .after.as_secs())]
    Silent {
        /// The program.
        program: &'static str,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
        /// Its last words.
        words: String,
    },
    /// A process could not be watched or signalled.
    #[error("failed to {what} process {pid}")]
    Process {
        /// What was done.
        what: &'static str,
        /// The process.
        pid: i32,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The VMM refused a request, in its own words.
    #[error("{vmm} refused to {what}: {words}")]
    Refused {
        /// The VMM.
        vmm: &'static str,
        /// What it was asked to do.
        what: String,
        /// Its words.
        words: String,
    },
    /// The connection to the VMM broke.
    #[error("failed to ask {vmm} to {what}")]
    Request {
        /// The VMM.
        vmm: &'static str,
        /// What it was asked to do.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The guest's port could not be reached.
    #[error("failed to reach port {port} of the guest")]
    Dial {
        /// The vsock port.
        port: u32,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The backend does not do this.
    #[error("{vmm} cannot {what}")]
    Unsupported {
        /// The VMM.
        vmm: &'static str,
        /// What was asked.
        what: &'static str,
    },
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Missing { hint, .. } => Description::hinted(ErrorCode::Vmm, *hint),
            Self::Spawn { .. } => Description::hinted(
                ErrorCode::Vmm,
                "check that the program can be executed: run it with `--version`",
            ),
            Self::Refused { words, .. } if words.contains("KVM") || words.contains("kvm") => {
                Description::hinted(
                    ErrorCode::Vmm,
                    "`banger doctor` shows whether KVM works on this host",
                )
            }
            // The last words of the VMM, where there are any.
            Self::Died { words, .. } | Self::Silent { words, .. } => {
                Description::from(ErrorCode::Vmm).with_log((!words.is_empty()).then(|| words.clone()))
            }
            Self::File { .. }
            | Self::Process { .. }
            | Self::Refused { .. }
            | Self::Request { .. }
            | Self::Dial { .. }
            | Self::Unsupported { .. } => ErrorCode::Vmm.into(),
        }
    }
}
