//! Ports of the guest that the host has.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use banger_guest_api::Connect;
use banger_model::{Forward, Protocol, Publish};
use tokio::sync::watch;

use crate::error::Error;
use crate::route::Route;
use crate::running::Running;
use crate::socket::{listen_at, transport};
use crate::table::Table;
use crate::watched::{Counters, Status, Watched};
use crate::work::Work;
use crate::{tcp, udp};

/// Refuses what other hosts could connect to, unless somebody said that they may.
///
/// # Errors
/// When one of them is such and `open` is not set.
pub fn refuse_open(forwards: &[Forward], open: bool) -> Result<(), Error> {
    let beyond = forwards.iter().find_map(|forward| match forward {
        Forward::Publish(publish) if !publish.is_local() => Some(*publish),
        _ => None,
    });
    match beyond {
        Some(publish) if !open => Err(Error::NotOpen(publish)),
        _ => Ok(()),
    }
}

/// Whether every port could be had now.
///
/// # Errors
/// When one of them could not.
pub fn probe(table: &Table, forwards: &[Forward]) -> Result<(), Error> {
    for forward in forwards {
        if let Forward::Publish(publish) = forward {
            listen_at(table, publish)?;
        }
    }
    Ok(())
}

pub(crate) fn begin(route: &Route, publish: Publish) -> Result<Running, Error> {
    let found = listen_at(&route.table, &publish)?;
    let publish = Publish {
        host_port: found.port,
        ..publish
    };
    let connect = Connect {
        transport: transport(publish.protocol),
        port: publish.guest_port,
    };
    let counters = Arc::<Counters>::default();
    let watched = Watched {
        status: watch::channel(Status::Listening).1,
        counters: Arc::clone(&counters),
    };
    let held = route.table.hold(publish.protocol, found.port, route.vm.clone());
    let refused = |source| Error::Listen {
        protocol: publish.protocol,
        address: SocketAddr::new(publish.address.unwrap_or(banger_model::LOOPBACK[0]), found.port),
        source,
    };
    let work = Work {
        route: route.clone(),
        connect,
        counters,
    };
    let task = match publish.protocol {
        Protocol::Tcp => {
            let listeners = each(found.sockets, |fd| {
                tokio::net::TcpListener::from_std(TcpListener::from(fd))
            });
            let serving = tcp::serve(listeners.map_err(refused)?, work);
            route.table.spawn(async move {
                let _held = held;
                serving.await;
            })
        }
        Protocol::Udp => {
            let sockets = each(found.sockets, |fd| {
                tokio::net::UdpSocket::from_std(UdpSocket::from(fd))
            });
            let serving = udp::serve(sockets.map_err(refused)?, work);
            route.table.spawn(async move {
                let _held = held;
                serving.await;
            })
        }
    };
    Ok(Running {
        forward: Forward::Publish(publish),
        watched,
        task,
    })
}

fn each<T>(sockets: Vec<OwnedFd>, make: impl Fn(OwnedFd) -> io::Result<T>) -> io::Result<Vec<T>> {
    sockets.into_iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_open_unless_it_was_said() {
        let forward = |text: &str| Forward::Publish(text.parse().unwrap());
        let local = [forward("8080:80"), forward("127.0.0.2:1:1"), forward("[::1]:1:1")];
        assert!(refuse_open(&local, false).is_ok());
        let beyond = [forward("8080:80"), forward("0.0.0.0:1:1")];
        assert!(matches!(refuse_open(&beyond, false), Err(Error::NotOpen(_))));
        assert!(refuse_open(&beyond, true).is_ok());
    }
}
