//! What listens in the guest, from `/proc` (proc(5)): no tool in the guest is needed.

mod http;
mod processes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use banger_guest_api::sockets::{Listening, TABLES, listening as listening_in};
use banger_guest_api::{Failure, Http, Listener, PortsQuery, Process, Transport};
use tokio::task::JoinSet;

use crate::failure::{During, refused};

/// The most sockets that are told.
const MOST: usize = 1024;

/// The most ports that are asked for HTTP.
const MOST_ASKED: usize = 64;

/// The query of a request.
pub(crate) fn query(text: &str) -> Result<PortsQuery, Failure> {
    let mut query = PortsQuery::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        match pair {
            "http=true" => query.http = true,
            "http=false" => query.http = false,
            _ => return Err(refused(format!("unknown query parameter `{pair}`"))),
        }
    }
    Ok(query)
}

/// The sockets that listen, by port. `root` is where the guest's `/` is, if this is none: then only sockets of processes
/// that work there are the guest's.
pub(crate) async fn listening(root: PathBuf, query: PortsQuery) -> Result<Vec<Listener>, Failure> {
    let looking = tokio::task::spawn_blocking(move || look(&root)).await;
    let mut found = looking.during("list the listening ports")?;
    found.truncate(MOST);
    let answers = if query.http {
        ask_all(&found).await
    } else {
        Vec::new()
    };
    let listeners = found.into_iter().map(|(socket, process)| Listener {
        port: socket.port,
        address: socket.address.to_string(),
        transport: socket.transport,
        process,
        http: answers
            .iter()
            .find(|(asked, _)| *asked == socket)
            .map(|(_, http)| http.clone()),
    });
    Ok(listeners.collect())
}

/// The sockets of all tables.
pub(crate) fn sockets() -> impl Iterator<Item = Listening> {
    TABLES.iter().flat_map(|(transport, path)| {
        let table = std::fs::read_to_string(path).unwrap_or_default();
        listening_in(*transport, &table).collect::<Vec<_>>()
    })
}

fn look(root: &Path) -> Vec<(Listening, Option<Process>)> {
    let mut sockets: Vec<_> = sockets().collect();
    sockets.sort_by_key(|socket| (socket.port, socket.transport, socket.address));
    // Several processes may share a port; each has a socket of its own, and one line is enough.
    sockets.dedup_by_key(|socket| (socket.port, socket.transport, socket.address));
    let holders = processes::holders(&sockets, root);
    let is_guest = root.as_os_str().is_empty();
    let told = sockets.into_iter().map(|socket| {
        let process = holders.get(&socket.inode).cloned();
        (socket, process)
    });
    told.filter(|(_, process)| is_guest || process.is_some())
        .collect()
}

/// Asks the TCP ports, all at once.
async fn ask_all(found: &[(Listening, Option<Process>)]) -> Vec<(Listening, Http)> {
    let mut asking = JoinSet::new();
    // What we hold ourselves is a port of the host's, which has not asked to be asked.
    let us = std::process::id();
    let is_ours = |process: &Option<Process>| process.as_ref().is_some_and(|process| process.pid == us);
    let asked = found
        .iter()
        .filter(|(socket, process)| socket.transport == Transport::Tcp && !is_ours(process));
    for &(socket, _) in asked.take(MOST_ASKED) {
        let address = match socket.address {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let address = SocketAddr::new(address, socket.port);
        asking.spawn(async move { http::ask(address).await.map(|http| (socket, http)) });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_http_or_nothing() {
        assert!(query("http=true").unwrap().http);
        assert!(!query("").unwrap().http);
        assert!(query("http=maybe").is_err());
    }

    #[tokio::test]
    async fn our_own_listener_is_found_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = look(Path::new(""));
        let (_, process) = found.iter().find(|(socket, _)| socket.port == port).unwrap();
        assert_eq!(process.as_ref().unwrap().pid, std::process::id());
        // It works elsewhere, so it is not of a guest that is a directory.
        let dir = tempfile::tempdir().unwrap();
        assert!(look(dir.path()).iter().all(|(socket, _)| socket.port != port));
    }
}
