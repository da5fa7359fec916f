//! Why a file could not be fetched.

use std::time::Duration;

use banger_model::{Describe, Description, ErrorCode};
use reqwest::StatusCode;

use crate::reach::Refused;
use crate::trust::{NoAuthorities, of_tls};

/// A failure to fetch. URLs are shown without what may be secret in them: user, password and query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no client.
    #[error("failed to prepare the HTTP client")]
    Client(#[source] reqwest::Error),
    /// There is no thread that could wait for answers.
    #[error("failed to prepare to wait for HTTP responses")]
    Waiting(#[source] std::io::Error),
    /// Nobody wants it any more.
    #[error("the download was cancelled")]
    CalledOff,
    /// There was no answer.
    #[error("failed to request {url}")]
    Send {
        /// Of what.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("{url} sent no data for {} s, after {position} bytes", .stall.as_secs_f32())]
    Stalled {
        /// What was fetched.
        url: String,
        /// Bytes that had come.
        position: u64,
        /// How long nothing came.
        stall: Duration,
    },
    /// The connection broke.
    #[error("failed to read {url} after {position} bytes")]
    Broken {
        /// What was fetched.
        url: String,
        /// Bytes that had come.
        position: u64,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The end came too early.
    #[error("{url} ended after {position} of {total} bytes")]
    Cut {
        /// What was fetched.
        url: String,
        /// Bytes that had come.
        position: u64,
        /// Bytes that there should be.
        total: u64,
    },
    /// The server has it not.
    #[error("{url} was not found")]
    Absent {
        /// What was fetched.
        url: String,
    },
    /// The server answered with something else.
    #[error("{url} answered with {status}")]
    Status {
        /// What was fetched.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// Its length is not what it has to be.
    #[error("{url} has {said} bytes, expected {expected}")]
    Length {
        /// What was fetched.
        url: String,
        /// What the server says, or sent.
        said: u64,
        /// What it should be.
        expected: u64,
    },
    /// The answer to a request for a range has another.
    #[error("{url} answered with another range than requested")]
    Range {
        /// What was fetched.
        url: String,
    },
    /// What was begun is no longer there.
    #[error("{url} changed while it was read")]
    Changed {
        /// What was fetched.
        url: String,
    },
    /// It is longer than anything of its kind.
    #[error("{url} is larger than {most} bytes")]
    TooLong {
        /// What was fetched.
        url: String,
        /// The bound.
        most: u64,
    },
}

impl Error {
    /// Whether another attempt may go better.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Send { source, .. } => {
                !source.is_redirect()
                    && !source.is_builder()
                    && !is_distrust(source)
                    && !Refused::is_in(source)
            }
            Self::Stalled { .. } | Self::Broken { .. } | Self::Cut { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Client(_) | Self::Waiting(_) | Self::Status { .. } => ErrorCode::Host.into(),
            Self::CalledOff => ErrorCode::Cancelled.into(),
            Self::Send { source, .. } if Refused::is_in(source) => {
                Description::hinted(ErrorCode::Host, Refused::HINT)
            }
            Self::Send { source, .. } if NoAuthorities::is_in(source) => {
                Description::hinted(ErrorCode::Host, NoAuthorities::HINT)
            }
            Self::Send { source, .. } if is_distrust(source) => Description::hinted(
                ErrorCode::Host,
                "the certificates of the host are trusted; set SSL_CERT_FILE of the daemon to use others",
            ),
            Self::Send { .. } => Description::hinted(
                ErrorCode::Host,
                "check the network connection, and set a proxy (HTTPS_PROXY) if one is needed",
            ),
            Self::Stalled { .. } => Description::hinted(
                ErrorCode::Timeout,
                "a slow server may need a longer `stall_seconds` below [fetch] in config.toml",
            ),
            Self::Broken { .. } => Description::hinted(ErrorCode::Host, "try again"),
            Self::Cut { .. } | Self::Changed { .. } => Description::hinted(ErrorCode::BadInput, "try again"),
            Self::Absent { .. } => ErrorCode::NotFound.into(),
            Self::Length { .. } | Self::Range { .. } | Self::TooLong { .. } => ErrorCode::BadInput.into(),
        }
    }
}

/// Whether the server could not show who it is.
fn is_distrust(error: &reqwest::Error) -> bool {
    of_tls(error).next().is_some()
}
