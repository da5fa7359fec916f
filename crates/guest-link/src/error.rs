//! Why a guest did not do what was asked of it.

use banger_guest_api::Failure;
use banger_model::{Describe, Description, ErrorCode};
use banger_wire::Broken;
use http::StatusCode;

use crate::budget::{self, Unfit};
use crate::dial::Unreachable;

/// The agent could not be asked, or refused. `asked` says for what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection to the agent.
    #[error("failed to reach the guest's agent to {asked}")]
    Dial {
        /// What for.
        asked: &'static str,
        /// What the way there says.
        #[source]
        source: Unreachable,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("failed to ask the guest's agent to {asked}")]
    Http {
        /// What for.
        asked: &'static str,
        /// What broke.
        #[source]
        source: Broken,
    },
    /// The agent refused or failed, in its own words.
    #[error("the guest failed to {asked}")]
    Refused {
        /// What for.
        asked: &'static str,
        /// The kind of refusal.
        status: StatusCode,
        /// The words.
        #[source]
        source: Box<Refusal>,
    },
    /// The agent's answer is not of this protocol.
    #[error("failed to parse the guest's answer to the request to {asked}")]
    Answer {
        /// What for.
        asked: &'static str,
        /// What is wrong with it.
        #[source]
        source: Unfit,
    },
    /// The agent's answer has more bytes than any that is right.
    #[error("the guest's answer to the request to {asked} is longer than {most} bytes")]
    TooLong {
        /// What for.
        asked: &'static str,
        /// The most bytes of a right one.
        most: usize,
    },
    /// The agent said nothing.
    #[error("the guest's agent ended without an answer to the request to {asked}")]
    Ended {
        /// What for.
        asked: &'static str,
    },
    /// The agent does not know what it is asked.
    #[error("the guest's agent is too old to {asked}")]
    TooOld {
        /// What for.
        asked: &'static str,
    },
    /// The agent did not switch to frames.
    #[error("the guest's agent did not open a stream to {asked}: it answered {status}")]
    NoUpgrade {
        /// What for.
        asked: &'static str,
        /// What it answered.
        status: StatusCode,
    },
}

/// The agent's own words for why it did not do something.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Refusal(Failure, #[source] Option<Cause>);

/// A deeper cause that the agent named.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Cause {
    text: String,
    #[source]
    deeper: Option<Box<Cause>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let failure = budget::failure(failure);
        let mut cause = None;
        for text in failure.causes.iter().rev() {
            let deeper = cause.take().map(Box::new);
            cause = Some(Cause {
                text: text.clone(),
                deeper,
            });
        }
        Self(failure, cause)
    }
}

impl Error {
    /// The status with which the agent refused.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The same as `describe`, for the user of the VM of that name.
    pub fn describe_for(&self, vm: &str) -> Description {
        self.described(
            &format!("the guest runs an agent of another version: `banger vm restart {vm}` replaces it"),
            &format!("print the guest's console with `banger vm logs {vm}`"),
        )
    }

    /// `outdated` is what to do about an agent of another version, `dark` about one that does not answer as it should.
    fn described(&self, outdated: &str, dark: &str) -> Description {
        match self {
            Self::Refused { status, .. } => match *status {
                StatusCode::GONE => ErrorCode::NotFound,
                StatusCode::CONFLICT => ErrorCode::InUse,
                _ => ErrorCode::Guest,
            }
            .into(),
            Self::Dial { .. }
            | Self::Http { .. }
            | Self::Ended { .. }
            | Self::TooLong { .. }
            | Self::Answer {
                source: Unfit::TooMuch { .. },
                ..
            } => Description::hinted(ErrorCode::Guest, dark),
            Self::Answer { .. } | Self::NoUpgrade { .. } | Self::TooOld { .. } => {
                Description::hinted(ErrorCode::VersionMismatch, outdated)
            }
        }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        self.described(
            "the guest runs an agent of another version: restart the VM",
            "`banger vm list` shows whether the VM is running; its console may show more",
        )
    }
}
