//! The sockets of the gateway's port 53, which a daemon without privileges serves.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use super::{Helper, Refusal};
use crate::wire::DnsSocket;

const DNS: u16 = 53;

impl Helper {
    /// The sockets, bound if they are not yet. They are kept, so that a daemon that comes back gets the same ones.
    ///
    /// # Errors
    /// No network is prepared, or another program has the port.
    pub fn dns(&mut self) -> Result<&[(DnsSocket, OwnedFd)], Refusal> {
        self.network()?;
        self.be_there()?;
        let gateways = self.network()?.gateways();
        // Someone answers from now on; systemd-resolved may have come after the bridge.
        self.tell_resolved();
        if self.known.dns.is_empty() {
            let mut bound = Vec::new();
            for ip in gateways {
                bound.extend(bind(SocketAddr::new(ip, DNS)).map_err(|source| Refusal::Dns(ip, source))?);
            }
            self.known.dns = bound;
        }
        Ok(&self.known.dns)
    }
}

fn bind(address: SocketAddr) -> io::Result<[(DnsSocket, OwnedFd); 2]> {
    let (udp, tcp) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
    let socket = |tcp| DnsSocket { address, tcp };
    Ok([(socket(false), udp.into()), (socket(true), tcp.into())])
}
