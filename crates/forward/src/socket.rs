//! Listening sockets of the host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use banger_guest_api::Transport;
use banger_model::{LOOPBACK, Protocol, Publish};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt};

use crate::error::Error;
use crate::holder::{self, Holder};
use crate::table::Table;

/// How many connections the kernel holds for us.
const BACKLOG: i32 = 1024;

/// How often a port that is free on one loopback address is looked for on the other.
const ATTEMPTS: u32 = 32;

/// The sockets of a published port, and the port, which may have been left to be found.
pub(crate) struct Sockets {
    /// One for each address.
    pub(crate) sockets: Vec<OwnedFd>,
    /// The port of all of them.
    pub(crate) port: u16,
}

/// Binds a port as it is asked for.
pub(crate) fn listen_at(table: &Table, publish: &Publish) -> Result<Sockets, Error> {
    let Publish {
        address,
        host_port,
        protocol,
        ..
    } = *publish;
    if let Some(address) = address {
        let socket = one(table, protocol, SocketAddr::new(address, host_port))?;
        return Ok(Sockets {
            port: port_of(&socket, protocol, SocketAddr::new(address, host_port))?,
            sockets: vec![socket],
        });
    }
    for _ in 0..ATTEMPTS {
        match both(table, protocol, host_port) {
            Err(Error::Taken { .. }) if host_port == 0 => {}
            outcome => return outcome,
        }
    }
    Err(Error::NoneFree)
}

/// Both loopback addresses, or 127.0.0.1 alone on a host without IPv6.
fn both(table: &Table, protocol: Protocol, port: u16) -> Result<Sockets, Error> {
    let [ipv4, ipv6] = LOOPBACK.map(|address| SocketAddr::new(address, port));
    let first = one(table, protocol, ipv4)?;
    let port = port_of(&first, protocol, ipv4)?;
    let mut sockets = vec![first];
    match one(table, protocol, SocketAddr::new(ipv6.ip(), port)) {
        Ok(second) => sockets.push(second),
        Err(Error::NoAddress(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(Sockets { sockets, port })
}

fn one(table: &Table, protocol: Protocol, address: SocketAddr) -> Result<OwnedFd, Error> {
    bound(protocol, address).map_err(|errno| match errno {
        Errno::ADDRINUSE => Error::Taken {
            protocol,
            address,
            holder: holder(table, protocol, address.ip(), address.port()),
        },
        Errno::ACCESS if address.port() < 1024 => Error::Privileged(address.port()),
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Error::NoAddress(address.ip()),
        errno => Error::Listen {
            protocol,
            address,
            source: errno.into(),
        },
    })
}

fn bound(protocol: Protocol, address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Udp {
        bind(&socket, &address)?;
        return Ok(socket);
    }
    // Connections of before that are still going do not keep a port from being listened at.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn port_of(socket: &OwnedFd, protocol: Protocol, address: SocketAddr) -> Result<u16, Error> {
    let bound = getsockname(socket)
        .and_then(SocketAddr::try_from)
        .map_err(|errno| Error::Listen {
            protocol,
            address,
            source: io::Error::from(errno),
        })?;
    Ok(bound.port())
}

fn holder(table: &Table, protocol: Protocol, address: IpAddr, port: u16) -> Option<Holder> {
    let vm = table.owner(protocol, port).map(Holder::Vm);
    vm.or_else(|| holder::process(transport(protocol), address, port))
}

/// The protocol as the guest calls it.
pub(crate) const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(text: &str) -> Publish {
        text.parse().unwrap()
    }

    #[test]
    fn a_free_port_is_the_same_on_both_addresses() {
        for text in [":80", ":80/udp"] {
            let found = listen_at(&Table::default(), &publish(text)).unwrap();
            assert_ne!(found.port, 0);
            for socket in &found.sockets {
                let address = SocketAddr::try_from(getsockname(socket).unwrap()).unwrap();
                assert!(
                    address.ip().is_loopback() && address.port() == found.port,
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_told() {
        let found = listen_at(&Table::default(), &publish(":80")).unwrap();
        let again = listen_at(&Table::default(), &publish(&format!("{}:80", found.port)));
        let us = std::process::id();
        assert!(
            matches!(again, Err(Error::Taken { holder: Some(Holder::Process { pid, .. }), .. }) if pid == us)
        );
        let nowhere = listen_at(&Table::default(), &publish("203.0.113.1:0:80"));
        assert!(matches!(nowhere, Err(Error::NoAddress(_))));
    }
}
