//! The sockets of the gateway's port 53, which a daemon without privileges serves.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use super::{Helper, Refusal};
use crate::wire::DnsSocket;

const DNS: u16 = 53;

/// The sockets. They are kept, so that a daemon that comes back gets the same ones.
#[derive(Debug)]
pub struct DnsSockets(Vec<(SocketAddr, UdpSocket, TcpListener)>);

impl DnsSockets {
    fn bind(addresses: [IpAddr; 2]) -> Result<Self, Refusal> {
        let bind = |ip| {
            let address = SocketAddr::new(ip, DNS);
            Ok((address, UdpSocket::bind(address)?, TcpListener::bind(address)?))
        };
        let bound = addresses.map(|ip| bind(ip).map_err(|source| Refusal::Dns { address: ip, source }));
        Ok(Self(bound.into_iter().collect::<Result<_, _>>()?))
    }

    /// What they are, in the order of [`DnsSockets::descriptors`].
    pub fn kinds(&self) -> Vec<DnsSocket> {
        let both = |address| [false, true].map(|tcp| DnsSocket { address, tcp });
        self.0.iter().flat_map(|&(address, ..)| both(address)).collect()
    }

    /// Their descriptors.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0
            .iter()
            .flat_map(|(_, udp, tcp)| [udp.as_fd(), tcp.as_fd()])
            .collect()
    }
}

impl Helper {
    /// The sockets, bound if they are not yet.
    ///
    /// # Errors
    /// No network is prepared, or another program has the port.
    pub fn dns(&mut self) -> Result<&DnsSockets, Refusal> {
        let network = self.network()?;
        let addresses = [network.subnet.gateway().into(), network.ula.gateway().into()];
        // Someone answers from now on; systemd-resolved may have come after the bridge.
        self.tell_resolved();
        let sockets = match self.dns.take() {
            Some(sockets) => sockets,
            None => DnsSockets::bind(addresses)?,
        };
        Ok(self.dns.insert(sockets))
    }
}
