//! Ports that go through the host: connections to the guest's own ports, and ports of the guest that the host serves.

mod datagrams;
mod relay;
mod reverse;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use banger_guest_api::{Connect, Failure, Transport};
use bytes::Bytes;
use tokio::net::{TcpStream, UdpSocket};

use crate::failure::During;
use crate::ports;
use crate::socket::Socket;

pub(crate) use reverse::Waiting;

/// How long a program may take to accept, whose queue is full.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program of the guest at the other end.
#[derive(Debug)]
pub(crate) enum Connected {
    /// By a stream.
    Stream(TcpStream),
    /// By datagrams.
    Datagrams(UdpSocket),
}

impl Connected {
    /// Carries everything between the program and the host, to the end. `sent` came before.
    pub(crate) async fn relay(self, tunnel: Socket, sent: Bytes) {
        match self {
            Self::Stream(program) => relay::relay(tunnel, &sent, program).await,
            Self::Datagrams(program) => datagrams::relay(tunnel, &sent, program).await,
        }
    }
}

/// Connects to a port on the guest's loopback address.
pub(crate) async fn connect(connect: Connect) -> Result<Connected, Failure> {
    let Connect { transport, port } = connect;
    match transport {
        Transport::Tcp => {
            let connecting = tokio::time::timeout(PATIENCE, stream(port)).await;
            let stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = stream.during(format!("connect to port {port} in the guest"))?;
            Ok(Connected::Stream(direct(stream)))
        }
        Transport::Udp => {
            let socket = datagram_socket(port).await;
            let socket = socket.during(format!("create a socket for UDP port {port} in the guest"))?;
            Ok(Connected::Datagrams(socket))
        }
    }
}

async fn stream(port: u16) -> io::Result<TcpStream> {
    let refused = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    // That there is no IPv6 is not why.
    let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
    stream.map_err(|_| refused)
}

/// A socket to whatever has the port: connecting one tells nothing, so the kernel's table is asked.
async fn datagram_socket(port: u16) -> io::Result<UdpSocket> {
    let on_port = |socket: &banger_guest_api::sockets::Listening| {
        socket.transport == Transport::Udp && socket.port == port && socket.is_on_loopback()
    };
    let mut addresses = ports::sockets().filter(on_port).map(|socket| socket.address);
    let only_ipv6 = addresses.next() == Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) && addresses.next().is_none();
    let (ours, theirs): (IpAddr, IpAddr) = if only_ipv6 {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into())
    } else {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into())
    };
    let socket = UdpSocket::bind(SocketAddr::new(ours, 0)).await?;
    socket.connect(SocketAddr::new(theirs, port)).await?;
    Ok(socket)
}

/// What is written goes at once: the host's side has waited for more already, if anybody wants that.
fn direct(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}
