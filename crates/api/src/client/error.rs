//! Why a request did not succeed, as its sender sees it.

use std::path::PathBuf;

use crate::ErrorBody;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon answers.
    #[error("connect to bangerd at {}", .socket.display())]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke: the daemon was killed, or is none.
    #[error("speak to bangerd")]
    Http(#[source] hyper::Error),
    /// The daemon failed, in its own words.
    #[error(transparent)]
    Api(#[from] Box<ErrorBody>),
    /// A failure without words: whoever answers is no bangerd.
    #[error("bangerd answered with HTTP status {0} and no reason")]
    Status(u16),
    /// The answer is not of this API: another version.
    #[error("understand bangerd's answer")]
    Answer(#[source] serde_json::Error),
    /// The events ended without saying how the work did.
    #[error("bangerd went away in the middle of the work")]
    Ended,
    /// A stream of frames broke.
    #[error("stream to the guest")]
    Stream(#[source] std::io::Error),
    /// What came is no stream of frames.
    #[error("understand the guest's stream")]
    Frame(#[source] banger_guest_api::FrameError),
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
