//! What this program does where it was started in the namespaces of a user's own network.

use std::net::IpAddr;
use std::path::Path;

use banger_model::ErrorCode;
use banger_model::network::Step;
use banger_root::kernel::{Host, HostError, Kernel};
use banger_root::serve::{Config, ServeError, serve};

use crate::error::Describe;

/// It cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The helper.
    #[error("serve a network of this user's own")]
    Serve(#[source] ServeError),
    /// The namespace's own interface.
    #[error("prepare a network of this user's own")]
    Loopback(#[source] HostError),
}

/// Serves as the helper, until it is ended.
pub(crate) fn serve_own(dir: &Path) -> Result<(), Error> {
    have(&[]).map_err(Error::Loopback)?;
    let config = Config {
        owner: 0,
        socket_dir: dir.to_owned(),
        state_dir: dir.join("plan"),
        apart: true,
    };
    serve(&config).map_err(Error::Serve)
}

/// Lets the namespace have the host's addresses for its own.
pub(crate) fn have_addresses(addresses: &[IpAddr]) -> Result<(), Error> {
    have(addresses).map_err(Error::Loopback)
}

/// Lets the loopback interface have these addresses beside its own.
fn have(addresses: &[IpAddr]) -> Result<(), HostError> {
    const LOOPBACK: &str = "lo";
    let link = LOOPBACK.to_owned();
    Kernel.apply(&Step::Up { name: link.clone() })?;
    let observed = Kernel.observe()?;
    let index = observed.link(LOOPBACK).map(|link| link.index);
    for &(on, address, prefix) in &observed.addresses {
        if Some(on) == index && !is_of_every_host(&address) && !addresses.contains(&address) {
            Kernel.apply(&Step::NoAddress {
                link: link.clone(),
                own: (address, prefix),
            })?;
        }
    }
    for &address in addresses {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Kernel.apply(&Step::Address {
            link: link.clone(),
            own: (address, prefix),
        })?;
    }
    Ok(())
}

/// Whether every host and namespace has the address, or may have it.
pub(super) fn is_of_every_host(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        ErrorCode::Host
    }

    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    fn log(&self) -> Option<String> {
        None
    }
}
