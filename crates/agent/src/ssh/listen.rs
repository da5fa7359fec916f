//! Ports and sockets at which we listen for a client. They end with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use banger_ssh::{Listen, Opening};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;

use super::link::Link;

/// How many a client may have.
const MOST: usize = 64;

/// How many connections may wait.
const BACKLOG: i32 = 128;

/// How long nothing is accepted after there was no descriptor for it.
const BREATH: Duration = Duration::from_millis(100);

/// All of a client's.
pub(super) struct Listeners {
    link: Rc<Link>,
    all: BTreeMap<Listen, Listener>,
}

/// Ends when it is dropped.
struct Listener {
    tasks: Vec<AbortHandle>,
    /// The socket's file, which is ours to remove.
    file: Option<PathBuf>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Listeners {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self {
            link,
            all: BTreeMap::new(),
        }
    }

    /// Listens; gives the port, which is 0 for a socket, or nothing when it cannot be.
    pub(super) fn begin(&mut self, at: Listen) -> Option<u16> {
        if self.all.len() >= MOST || self.all.contains_key(&at) {
            return None;
        }
        let begun = match &at {
            Listen::Tcp { address, port } => self.begin_port(address, *port),
            Listen::Unix { path } => self.begin_socket(path).map(|listener| (listener, 0)),
        };
        match begun {
            Ok((listener, port)) => {
                let at = match at {
                    // It ends by the port that it got.
                    Listen::Tcp { address, .. } => Listen::Tcp { address, port },
                    at @ Listen::Unix { .. } => at,
                };
                self.all.insert(at, listener);
                Some(port)
            }
            Err(error) => {
                eprintln!("banger: failed to listen for an SSH client: {error}");
                None
            }
        }
    }

    /// Listens no more; whether it did.
    pub(super) fn end(&mut self, at: &Listen) -> bool {
        self.all.remove(at).is_some()
    }

    fn begin_port(&self, address: &str, port: u16) -> io::Result<(Listener, u16)> {
        let mut port = port;
        let mut tasks = Vec::new();
        let mut refused = None;
        for ip in addresses(address)? {
            match listen_at(SocketAddr::new(ip, port)) {
                Ok(listener) => {
                    port = listener.local_addr()?.port();
                    let accepting = accept_port(Rc::clone(&self.link), listener, address.to_owned(), port);
                    tasks.push(tokio::task::spawn_local(accepting).abort_handle());
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            // That there is no IPv6 is no reason.
            Some(error) if tasks.is_empty() => Err(error),
            _ => Ok((Listener { tasks, file: None }, port)),
        }
    }

    fn begin_socket(&self, path: &[u8]) -> io::Result<Listener> {
        let file = PathBuf::from(OsStr::from_bytes(path));
        remove_dead(&file);
        let listener = UnixListener::bind(&file)?;
        let accepting = accept_socket(Rc::clone(&self.link), listener, path.to_owned());
        let begun = Listener {
            tasks: vec![tokio::task::spawn_local(accepting).abort_handle()],
            file: Some(file.clone()),
        };
        std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok(begun)
    }
}

/// Where to listen, by the words of RFC 4254, section 7.1.
fn addresses(address: &str) -> io::Result<Vec<IpAddr>> {
    Ok(match address {
        "" | "*" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        address => vec![address.parse().map_err(io::Error::other)?],
    })
}

/// A listener of one family alone, so that both can have the same port.
fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Removes a socket that nobody listens at any more, such as one of a client that was killed.
fn remove_dead(path: &Path) {
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if refused {
        let _ = std::fs::remove_file(path);
    }
}

async fn accept_port(link: Rc<Link>, listener: TcpListener, address: String, port: u16) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let opening = Opening::Tcp {
            address: address.clone(),
            port,
            from_address: from.ip().to_string(),
            from_port: from.port(),
        };
        // When there are too many, it is closed.
        if let Some(channel) = link.open(&opening) {
            tokio::task::spawn_local(async move { channel.relay(stream).await });
        }
    }
}

async fn accept_socket(link: Rc<Link>, listener: UnixListener, path: Vec<u8>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        if let Some(channel) = link.open(&Opening::Unix { path: path.clone() }) {
            tokio::task::spawn_local(async move { channel.relay(stream).await });
        }
    }
}
