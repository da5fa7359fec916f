//! Why this host could not be looked at.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use banger_client::daemon::DaemonError;
use banger_model::{Describe, ErrorCode, sources};

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
    fn code(&self) -> ErrorCode {
        match self {
            Self::Daemon(error) => error.code(),
            _ => ErrorCode::InvalidRequest,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoUser(_) => vec!["specify a user: --owner USER".to_owned()],
            Self::NoProgram(_) => vec!["install both: `make install`".to_owned()],
            Self::Daemon(error) => error.hints(),
            Self::NotRoot { instead, .. } => vec![instead.clone()],
            Self::Ourselves(_) | Self::Run { .. } | Self::Answer { .. } => Vec::new(),
        }
    }

    fn log(&self) -> Option<String> {
        match self {
            Self::Answer { log, .. } => (!log.trim().is_empty()).then(|| log.clone()),
            _ => None,
        }
    }

    fn causes(&self) -> Vec<String> {
        match self {
            Self::Daemon(error) => error.causes(),
            error => sources(error.source()).map(ToString::to_string).collect(),
        }
    }
}
