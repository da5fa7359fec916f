//! Ports of the guest that the host serves.
//!
//! A port is open as long as the host keeps the stream that it asked for. Connections wait here, a bounded number of them
//! for a bounded time, until the host takes them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use banger_guest_api::tunnel::header;
use banger_guest_api::{Failure, Listen, Take};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::Connected;
use crate::failure::{During, refused};
use crate::socket::Socket;

/// The most connections of a port that wait; the kernel holds those that come then.
const MOST_WAITING: usize = 64;

/// How long one waits for a host that does not take it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections that the host has not taken yet, and the ports that they come from.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    connections: BTreeMap<u64, Connection>,
    ports: BTreeMap<u16, JoinHandle<()>>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    port: u16,
    /// Its place among those that wait.
    _place: OwnedSemaphorePermit,
}

impl Waiting {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens at a port on the guest's loopback addresses, as long as the host keeps what `upgraded` gives.
    pub(crate) async fn listen(
        self: &Arc<Self>,
        listen: Listen,
        upgraded: impl Future<Output = Option<Socket>> + Send + 'static,
    ) -> Result<(), Failure> {
        let port = listen.port;
        // A daemon that was killed is not gone for us yet when the next one asks.
        let before = self.inner().ports.remove(&port);
        if let Some(before) = before {
            before.abort();
            let _ = before.await;
            self.forget(port);
        }
        let listeners = Listeners::bind(port).await;
        let listeners = listeners.during(format!("listen on port {port} in the guest"))?;
        let waiting = Arc::clone(self);
        let task = tokio::spawn(async move {
            if let Some(host) = upgraded.await {
                // Its end is the host's business, which is told by the stream's end.
                let _ = waiting.serve(port, &listeners, host).await;
            }
            waiting.forget(port);
        });
        self.inner().ports.insert(port, task);
        Ok(())
    }

    /// Tells the host of each connection, until it closes its stream.
    async fn serve(self: &Arc<Self>, port: u16, listeners: &Listeners, host: Socket) -> io::Result<()> {
        let (mut from_host, mut to_host) = tokio::io::split(host);
        let places = Arc::new(Semaphore::new(MOST_WAITING));
        let telling = async {
            loop {
                let place = Arc::clone(&places)
                    .acquire_owned()
                    .await
                    .map_err(io::Error::other)?;
                let stream = listeners.accept().await?;
                let token = self.keep(port, stream, place);
                let token = token.to_be_bytes();
                to_host
                    .write_all(&[&header(token.len())[..], &token].concat())
                    .await?;
            }
        };
        let mut byte = [0];
        tokio::select! {
            told = telling => told,
            left = from_host.read(&mut byte) => left.map(drop),
        }
    }

    fn keep(self: &Arc<Self>, port: u16, stream: TcpStream, place: OwnedSemaphorePermit) -> u64 {
        // If nobody takes it, it breaks off.
        let _ = stream.set_zero_linger();
        let mut inner = self.inner();
        inner.next += 1;
        let token = inner.next;
        let connection = Connection {
            stream,
            port,
            _place: place,
        };
        inner.connections.insert(token, connection);
        let waiting = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            waiting.inner().connections.remove(&token);
        });
        token
    }

    /// The connection of a token.
    pub(crate) fn take(&self, take: Take) -> Result<Connected, Failure> {
        let taken = self.inner().connections.remove(&take.token);
        let connection =
            taken.ok_or_else(|| refused(format!("no connection {} waits in the guest", take.token)))?;
        Ok(Connected::Stream(super::direct(connection.stream)))
    }

    /// Ends the connections of a port that nobody will take.
    fn forget(&self, port: u16) {
        let mut inner = self.inner();
        inner.connections.retain(|_, connection| connection.port != port);
    }
}

/// A port on both loopback addresses, as far as the guest has them.
struct Listeners {
    ipv4: TcpListener,
    ipv6: Option<TcpListener>,
}

impl Listeners {
    async fn bind(port: u16) -> io::Result<Self> {
        let bind = async |address: SocketAddr| TcpListener::bind(address).await;
        let ipv4 = bind((Ipv4Addr::LOCALHOST, port).into()).await?;
        let ipv6 = match bind((Ipv6Addr::LOCALHOST, port).into()).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // A guest without IPv6.
            Err(_) => None,
        };
        Ok(Self { ipv4, ipv6 })
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let ipv6 = async {
            match &self.ipv6 {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let (stream, _) = tokio::select! {
            accepted = self.ipv4.accept() => accepted?,
            accepted = ipv6 => accepted?,
        };
        Ok(stream)
    }
}
