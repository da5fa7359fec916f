//! Why a request did not succeed, as its sender sees it.

use banger_api::ErrorBody;
use banger_guest_api::FrameError;
use banger_model::{Describe, Description, ErrorCode};
use banger_wire::{Broken, FrameReadError};

use crate::connector::Connector;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon answers.
    #[error("failed to connect to bangerd at {to}")]
    Connect {
        /// Where it was looked for.
        to: Connector,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke: the daemon was killed, or is none.
    #[error("failed to communicate with bangerd")]
    Http(#[source] Broken),
    /// The daemon failed, in its own words.
    #[error(transparent)]
    Api(#[from] Box<ErrorBody>),
    /// A failure without words: whoever answers is no bangerd.
    #[error("bangerd answered with HTTP status {0} and no reason")]
    Status(u16),
    /// The answer is not of this API: another version.
    #[error("failed to parse bangerd's answer")]
    Answer(#[source] serde_json::Error),
    /// The answer, or an event of it, has more bytes than any that is right.
    #[error("bangerd's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The events ended without saying how the work did.
    #[error("bangerd closed the connection before the operation finished")]
    Ended,
    /// A stream of frames broke.
    #[error("the stream to the guest failed")]
    Stream(#[source] std::io::Error),
    /// What came is no stream of frames.
    #[error("failed to read the guest's stream")]
    Frame(#[source] FrameError),
}

impl ClientError {
    /// Whether no daemon listens: it does not run, or does so no more.
    pub fn is_absence(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
        // One that is killed while it is connected to resets the connection.
        matches!(self, Self::Connect { source, .. }
            if matches!(source.kind(), NotFound | ConnectionRefused | ConnectionReset))
    }
}

/// What the daemon said of itself stays as it is.
impl Describe for ClientError {
    fn describe(&self) -> Description {
        match self {
            Self::Api(body) => body.describe(),
            _ => Description::hinted(
                ErrorCode::Internal,
                "`banger daemon status` shows whether the daemon is running, and where its log is",
            ),
        }
    }
}

impl From<FrameReadError> for ClientError {
    fn from(error: FrameReadError) -> Self {
        match error {
            FrameReadError::Stream(source) => Self::Stream(source),
            FrameReadError::Frame(source) => Self::Frame(source),
        }
    }
}
