//! How a connection to the daemon is made.

use std::path::PathBuf;
use std::{fmt, io};

use tokio::net::UnixStream;

/// What a connection is. It carries requests, and descriptors of connections to agents that the daemon hands over.
pub(crate) type Stream = UnixStream;

/// The way to a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connector {
    /// Its socket on this host.
    Unix(PathBuf),
}

impl Connector {
    /// Connects.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(socket) => UnixStream::connect(socket).await,
        }
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(socket) => write!(f, "{}", socket.display()),
        }
    }
}
