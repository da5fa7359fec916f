//! What this program does where it was started in the namespaces of a user's own network.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use banger_model::network::Room;
use banger_model::{Describe, Description, ErrorCode};
use banger_root::host::Step;
use banger_root::kernel::{Host, HostError, Kernel, Watch};
use banger_root::serve::{Config, ServeError, serve};

/// It cannot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The helper.
    #[error("failed to serve the rootless network")]
    Serve(#[source] ServeError),
    /// The socket that tells of the host's network.
    #[error("failed to receive the description of the host's network")]
    Stdin(#[source] std::io::Error),
    /// The namespace's own interface.
    #[error("failed to prepare the rootless network")]
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
    fn describe(&self) -> Description {
        ErrorCode::Host.into()
    }
}
