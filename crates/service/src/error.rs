//! Why this host could not be looked at.

use std::io;
use std::path::PathBuf;

use banger_client::daemon::DaemonError;
use banger_model::{Describe, Description, ErrorCode};

/// Something of this host could not be found out, or may not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A user was named that there is not.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// The helper's program is not beside this one.
    #[error("there is no {}", .0.display())]
    NoProgram(PathBuf),
    /// The daemon's program, which knows how to ask the helper, is not there.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// This program does not know where it is.
    #[error("failed to find the path of this program")]
    Ourselves(#[source] io::Error),
    /// This process is not root's.
    #[error("only root can {what}")]
    NotRoot {
        /// What was to be done.
        what: &'static str,
        /// The command line that does it.
        instead: String,
    },
    /// A program cannot be run.
    #[error("failed to run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program's answer is none.
    #[error("failed to parse the output of {program}")]
    Answer {
        /// Which.
        program: String,
        /// What it wrote to standard error.
        log: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Daemon(error) => error.describe(),
            Self::NoUser(_) => Description::hinted(ErrorCode::InvalidRequest, "specify a user: --owner USER"),
            Self::NoProgram(_) => {
                Description::hinted(ErrorCode::InvalidRequest, "install both: `make install`")
            }
            Self::NotRoot { instead, .. } => Description::hinted(ErrorCode::InvalidRequest, instead),
            Self::Answer { log, .. } => Description::from(ErrorCode::InvalidRequest)
                .with_log((!log.trim().is_empty()).then(|| log.clone())),
            Self::Ourselves(_) | Self::Run { .. } => ErrorCode::InvalidRequest.into(),
        }
    }
}
