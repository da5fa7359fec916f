//! Why there is no daemon to be had.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use banger_api::{ApiVersion, PathsError};
use banger_model::{Describe, ErrorCode, sources};

use super::unfit::Why;
use crate::error::ClientError;

/// There is no daemon to be had.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Nobody knows where it would be.
    #[error("find banger's directories")]
    Paths(#[from] PathsError),
    /// The one that runs does not answer as one does.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The one that runs is of a newer API.
    #[error(
        "bangerd {version} speaks API {api}, and this banger {} speaks API {}",
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
    #[error("find this program")]
    Ourselves(#[source] io::Error),
    /// There is no program to start.
    #[error("there is no bangerd beside this program")]
    NoProgram,
    /// The program cannot be started.
    #[error("start {}", .program.display())]
    Start {
        /// It.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program ended before it took requests.
    #[error("bangerd does not start")]
    Ended {
        /// What it said.
        log: String,
    },
    /// One that was asked to end does not.
    #[error("bangerd (process {pid}) does not end")]
    Stays {
        /// Its process.
        pid: u32,
    },
}

impl Describe for DaemonError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Client(error) => error.code(),
            // The daemon is another banger's.
            Self::Newer { .. } | Self::Unfit { .. } => ErrorCode::InUse,
            Self::Paths(_) | Self::Ourselves(_) | Self::NoProgram | Self::Start { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::Ended { .. } | Self::Stays { .. } => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Newer { version, .. } => format!(
                "use the banger of version {version}, or replace the daemon by this one: `banger daemon stop`, and the next command \
                 starts it"
            ),
            Self::Unfit { .. } => {
                "`banger daemon stop` ends it; VMs run on, and the next command starts another one".to_owned()
            }
            Self::NoProgram => "install both: `make install`".to_owned(),
            Self::Ended { .. } => "`banger doctor` looks for the reason".to_owned(),
            Self::Stays { .. } => "end it with `kill`".to_owned(),
            Self::Client(error) => return error.hints(),
            Self::Paths(_) | Self::Ourselves(_) | Self::Start { .. } => return Vec::new(),
        };
        vec![hint]
    }

    fn log(&self) -> Option<String> {
        match self {
            Self::Ended { log } => (!log.trim().is_empty()).then(|| log.clone()),
            Self::Client(error) => error.log(),
            _ => None,
        }
    }

    fn request_id(&self) -> Option<Box<str>> {
        match self {
            Self::Client(error) => error.request_id(),
            _ => None,
        }
    }

    fn causes(&self) -> Vec<String> {
        match self {
            Self::Client(error) => error.causes(),
            error => sources(error.source()).map(ToString::to_string).collect(),
        }
    }
}
