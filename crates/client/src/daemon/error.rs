//! Why there is no daemon to be had.

use std::io;
use std::path::PathBuf;

use banger_api::{ApiVersion, PathsError};
use banger_model::{Describe, Description, ErrorCode};

use super::unfit::Why;
use crate::error::ClientError;

/// There is no daemon to be had.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Nobody knows where it would be.
    #[error("failed to find banger's directories")]
    Paths(#[from] PathsError),
    /// The one that runs does not answer as one does.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The one that runs is of a newer API.
    #[error(
        "bangerd {version} uses API {api}, but this banger {} uses API {}",
        env!("CARGO_PKG_VERSION"),
        ApiVersion::CURRENT
    )]
    Newer {
        /// Its version.
        version: String,
        /// Its API's.
        api: ApiVersion,
    },
    /// The one that runs should be another one.
    #[error("bangerd must be restarted, {why}")]
    Unfit {
        /// Its version.
        version: String,
        /// Why.
        why: Why,
    },
    /// This program does not know where it is.
    #[error("failed to find the path of this program")]
    Ourselves(#[source] io::Error),
    /// There is no program to start.
    #[error("bangerd was not found next to this program")]
    NoProgram,
    /// The program cannot be started.
    #[error("failed to start {}", .program.display())]
    Start {
        /// It.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program ended before it took requests.
    #[error("bangerd failed to start")]
    Ended {
        /// What it said.
        log: String,
    },
    /// One that was asked to end does not.
    #[error("bangerd (process {pid}) did not exit")]
    Stays {
        /// Its process.
        pid: u32,
    },
}

impl Describe for DaemonError {
    fn describe(&self) -> Description {
        match self {
            Self::Client(error) => error.describe(),
            // The daemon is another banger's.
            Self::Newer { version, .. } => Description::hinted(
                ErrorCode::InUse,
                format!(
                    "use banger {version}, or replace the daemon: run `banger daemon stop`, and the next command \
                     starts this version"
                ),
            ),
            Self::Unfit { .. } => Description::hinted(
                ErrorCode::InUse,
                "run `banger daemon stop`: VMs keep running, and the next command starts a new daemon",
            ),
            Self::NoProgram => Description::hinted(ErrorCode::InvalidRequest, "install both: `make install`"),
            Self::Paths(_) | Self::Ourselves(_) | Self::Start { .. } => ErrorCode::InvalidRequest.into(),
            Self::Ended { log } => {
                Description::hinted(ErrorCode::Internal, "run `banger doctor` to find the reason")
                    .with_log((!log.trim().is_empty()).then(|| log.clone()))
            }
            Self::Stays { .. } => Description::hinted(ErrorCode::Internal, "end the process with `kill`"),
        }
    }
}
