//! Sockets, and who speaks through them.

mod tcp;
mod udp;

use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::forward::Forward;
use crate::oracle::Oracle;
use crate::places::{Limits, Places};
use crate::resolver::Resolver;
use crate::upstream::Upstreams;

/// How much a socket should hold that was not looked at yet, in bytes; the kernel gives what it allows.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What a server needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Who is asked for names that are not here.
    pub upstreams: Upstreams,
    /// How much is done at once.
    pub limits: Limits,
}

/// Sockets that are bound; those of TCP listen.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For datagrams.
    pub udp: Vec<net::UdpSocket>,
    /// For connections.
    pub tcp: Vec<net::TcpListener>,
}

/// A socket that cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen for DNS queries on {}", .address.map_or_else(|| "a socket".to_owned(), |address| address.to_string()))]
pub struct ListenError {
    /// Where it is bound.
    address: Option<SocketAddr>,
    source: io::Error,
}

impl Sockets {
    /// Binds a pair at an address; port 0 stands for any that is free for both.
    ///
    /// # Errors
    /// The address is taken, or not this host's.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let fail = |source| ListenError {
            address: Some(address),
            source,
        };
        let udp = net::UdpSocket::bind(address).map_err(fail)?;
        let tcp = net::TcpListener::bind(udp.local_addr().map_err(fail)?).map_err(fail)?;
        Ok(Self {
            udp: vec![udp],
            tcp: vec![tcp],
        })
    }

    /// The same sockets once more, so that they stay bound when a server lets go of these.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn try_clone(&self) -> Result<Self, ListenError> {
        let fail = |source| ListenError {
            address: None,
            source,
        };
        let udp = self.udp.iter().map(net::UdpSocket::try_clone);
        let tcp = self.tcp.iter().map(net::TcpListener::try_clone);
        Ok(Self {
            udp: udp.collect::<Result<_, _>>().map_err(fail)?,
            tcp: tcp.collect::<Result<_, _>>().map_err(fail)?,
        })
    }

    /// Where the sockets are bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let udp = self.udp.iter().map(net::UdpSocket::local_addr);
        let tcp = self.tcp.iter().map(net::TcpListener::local_addr);
        udp.chain(tcp).filter_map(Result::ok).collect()
    }
}

/// The server. Sockets come and go; all share one cache and one set of bounds.
#[derive(Debug)]
pub struct Server<O> {
    shared: Arc<Shared<O>>,
}

#[derive(Debug)]
struct Shared<O> {
    resolver: Resolver<O>,
    places: Arc<Places>,
    limits: Limits,
}

/// Sockets that are listened to until this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// They end with the set.
    tasks: JoinSet<()>,
}

impl Listening {
    /// Closes the sockets, and returns when they are closed: another server may have their addresses then.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

impl<O: Oracle> Server<O> {
    /// A server that listens nowhere yet.
    pub fn new(config: Config, oracle: Arc<O>) -> Self {
        let Config { upstreams, limits } = config;
        let forward = Forward::new(upstreams, &limits);
        Self {
            shared: Arc::new(Shared {
                resolver: Resolver { oracle, forward },
                places: Places::new(limits),
                limits,
            }),
        }
    }

    /// Listens to these sockets too. It has to be called within a runtime of tokio's, with its I/O and its time.
    ///
    /// # Errors
    /// A socket that tokio does not take.
    pub fn listen(&self, sockets: Sockets) -> Result<Listening, ListenError> {
        let mut tasks = JoinSet::new();
        for address in sockets.addresses() {
            self.shared.resolver.forward.upstream.is_own(address);
        }
        for socket in sockets.udp {
            let socket = taken_udp(socket)?;
            tasks.spawn(udp::serve(Arc::clone(&self.shared), Arc::new(socket)));
        }
        for listener in sockets.tcp {
            let listener = taken_tcp(listener)?;
            tasks.spawn(tcp::serve(Arc::clone(&self.shared), listener));
        }
        Ok(Listening { tasks })
    }
}

fn taken_udp(socket: net::UdpSocket) -> Result<UdpSocket, ListenError> {
    let address = socket.local_addr().ok();
    // More than the kernel's limit is cut to that.
    if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER) {
        tracing::debug!(%error, "the receive buffer was not enlarged");
    }
    let taken = socket
        .set_nonblocking(true)
        .and_then(|()| UdpSocket::from_std(socket));
    taken.map_err(|source| ListenError { address, source })
}

fn taken_tcp(listener: net::TcpListener) -> Result<TcpListener, ListenError> {
    let address = listener.local_addr().ok();
    let taken = listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener));
    taken.map_err(|source| ListenError { address, source })
}
