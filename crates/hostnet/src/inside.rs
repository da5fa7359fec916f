//! What this program does where it was started in the namespaces of a user's own network.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use banger_model::network::Room;
use banger_model::{Describe, ErrorCode};
use banger_root::host::Step;
use banger_root::kernel::{Host, HostError, Kernel, Watch};
use banger_root::serve::{Config, ServeError, serve};

/// It cannot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The helper.
    #[error("serve a network of this user's own")]
    Serve(#[source] ServeError),
    /// The socket that tells of the host's network.
    #[error("take over the host's network")]
    Stdin(#[source] std::io::Error),
    /// The namespace's own interface.
    #[error("prepare a network of this user's own")]
    Loopback(#[source] HostError),
}

/// Serves as the helper, until it is ended.
pub fn serve_own(dir: &Path) -> Result<(), Error> {
    Kernel
        .apply(&Step::Up("lo".to_owned()))
        .map_err(Error::Loopback)?;
    // The daemon gave it, so it is of the host's network, and stays so when the daemon is gone.
    let host = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(Error::Stdin)?;
    let config = Config {
        owner: 0,
        socket_dir: dir.to_owned(),
        state_dir: dir.join("plan"),
        room: Room::default(),
        apart: Some(Arc::new(Watch::of(host))),
    };
    serve(&config).map_err(Error::Serve)
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        ErrorCode::Host
    }
}
