//! Ports and sockets that a client reaches through us.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use banger_ssh::Refusal;
use tokio::net::{TcpStream, UnixStream};

use super::link::Channel;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries a channel to a port that we reach.
pub(super) async fn to_port(channel: Channel, host: String, port: u16) {
    let connecting = tokio::time::timeout(PATIENCE, connect(&host, port));
    let connected = tokio::select! {
        connected = connecting => connected,
        _ = channel.gone() => return,
    };
    match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => {
            let _ = stream.set_nodelay(true);
            channel.confirm();
            channel.relay(stream).await;
        }
        Err(error) => channel.refuse(Refusal::Connect, &error.to_string()),
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    // An image need not know the name.
    if host.eq_ignore_ascii_case("localhost") {
        let first = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        return match first {
            Ok(stream) => Ok(stream),
            // That there is no IPv6 is not why.
            Err(refused) => TcpStream::connect((Ipv6Addr::LOCALHOST, port))
                .await
                .map_err(|_| refused),
        };
    }
    TcpStream::connect((host, port)).await
}

/// Carries a channel to a Unix socket.
pub(super) async fn to_socket(channel: Channel, path: Vec<u8>) {
    match UnixStream::connect(OsStr::from_bytes(&path)).await {
        Ok(stream) => {
            channel.confirm();
            channel.relay(stream).await;
        }
        Err(error) => channel.refuse(Refusal::Connect, &error.to_string()),
    }
}
