//! The daemon's socket: only its owner and root get in.

use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

/// A listener that hangs up on other users. The socket's mode keeps them out already; this holds even when someone
/// changes that.
#[derive(Debug)]
pub(crate) struct OwnersOnly(pub(crate) UnixListener);

impl Listener for OwnersOnly {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        let ours = rustix::process::geteuid().as_raw();
        loop {
            // axum's own listener knows which failures of accept pass and waits for those.
            let (stream, address) = Listener::accept(&mut self.0).await;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == ours || peer.uid() == 0 => return (stream, address),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "refused a connection of another user"),
                Err(error) => tracing::warn!(%error, "refused a connection without credentials"),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
