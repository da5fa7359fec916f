//! What is around a host, kept current by what rtnetlink tells of: its addresses, and the blocks on its links. One socket does
//! it, which stays the host's even where it is handed to a process in another network namespace.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use banger_model::network::{Cidr, Surroundings};
use banger_netlink::around::{OnLink, is_shared, on_link, peer};
use banger_netlink::{Message, Received, received, route};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netlink::{self, DONE, ERROR};

/// `RTNLGRP_…`: links, addresses and routes of both families.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// Tunnels are given routes of whole halves of the Internet, which makes nobody there a neighbour.
const WIDEST: [u8; 2] = [8, 16];
/// How long more news are waited for, in milliseconds: a link that comes up brings many.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 30_000_000,
};

/// A socket that hears of changes.
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Of the network that the calling thread is in.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open() -> io::Result<Self> {
        netlink::socket(NETLINK_ROUTE, &GROUPS).map(Self)
    }

    /// The same socket of an earlier [`Watch::open`], perhaps of another process.
    pub fn of(socket: OwnedFd) -> Self {
        use std::os::fd::IntoRawFd;
        // SAFETY: the descriptor is owned here, and given away.
        Self(unsafe { Socket::from_raw_fd(socket.into_raw_fd()) })
    }

    /// The socket, to be handed on.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        // SAFETY: the descriptor is open as long as this value is.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(self.0.as_raw_fd()) };
        borrowed.try_clone_to_owned()
    }

    /// Waits for news that may change the surroundings, and for a quiet moment after them.
    ///
    /// # Errors
    /// The socket fails.
    pub fn wait(&self) -> io::Result<()> {
        while !self.hear()? {}
        let mut quiet = [PollFd::new(&self.0, PollFlags::IN)];
        while poll(&mut quiet, Some(&QUIET))? > 0 {
            self.hear()?;
        }
        Ok(())
    }

    /// Takes a datagram; says whether something in it is of interest.
    fn hear(&self) -> io::Result<bool> {
        match self.0.recv_from_full() {
            Ok((datagram, _)) => Ok(received(&datagram).any(|message| is_news(&message))),
            // More came than there was room for: anything may have changed.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks around now.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn look(&self) -> io::Result<Surroundings> {
        loop {
            let mut changed = false;
            let links: BTreeMap<u32, bool> =
                self.list(libc::RTM_GETLINK, &[0; 16], is_shared, &mut changed)?;
            let addresses = self.list(libc::RTM_GETADDR, &[0; 8], address, &mut changed)?;
            let routes = self.list(libc::RTM_GETROUTE, &[0; 12], on_link, &mut changed)?;
            if !changed {
                return Ok(surroundings(&links, addresses, routes));
            }
        }
    }

    fn list<T, A: FromIterator<T>>(
        &self,
        kind: u16,
        body: &[u8],
        read: fn(&[u8]) -> Option<T>,
        changed: &mut bool,
    ) -> io::Result<A> {
        let mut address = netlink_sys::SocketAddr::new(0, 0);
        self.0.get_address(&mut address)?;
        let message = Message::new(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, body);
        self.0.send(&message.numbered(u32::from(kind)), 0)?;
        let mut found = Vec::new();
        loop {
            let datagram = match self.0.recv_from_full() {
                Ok((datagram, _)) => datagram,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    *changed = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for message in received(&datagram) {
                // News come between, and bear the number of who made them.
                if message.port != address.port_number() || message.sequence != u32::from(kind) {
                    *changed |= is_news(&message);
                    continue;
                }
                match message.kind {
                    DONE => return Ok(found.into_iter().collect()),
                    ERROR => return Err(io::Error::other("the kernel does not list its network")),
                    _ => found.extend(read(message.body)),
                }
            }
        }
    }
}

/// Routes through gateways change nothing here, and of those there may be many.
fn is_news(message: &Received<'_>) -> bool {
    let is_route = matches!(message.kind, libc::RTM_NEWROUTE | libc::RTM_DELROUTE);
    !is_route || on_link(message.body).is_some()
}

/// The link, the address with its prefix, and the peer's or once more the own.
type Address = (u32, IpAddr, u8, IpAddr);

fn address(body: &[u8]) -> Option<Address> {
    let (link, own, prefix) = route::address(body)?;
    Some((link, own, prefix, peer(body).unwrap_or(own)))
}

fn surroundings(links: &BTreeMap<u32, bool>, addresses: Vec<Address>, routes: Vec<OnLink>) -> Surroundings {
    let mut around = Surroundings::default();
    let is_everywhere = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    for (_, own, prefix, peer) in addresses.iter().filter(|(_, own, ..)| !is_everywhere(own)) {
        around.own.insert(*own);
        around.connected.extend(block(*peer, *prefix));
    }
    let routes = routes
        .iter()
        .filter(|route| route.follows || links.get(&route.link) == Some(&true));
    around
        .connected
        .extend(routes.filter_map(|route| block(route.first, route.prefix)));
    around.connected.retain(|block| !is_everywhere(&block.first()));
    around.connected.sort_unstable();
    around.connected.dedup();
    around
}

fn block(address: IpAddr, prefix: u8) -> Option<Cidr> {
    let widest = WIDEST[usize::from(address.is_ipv6())];
    Cidr::around(address, prefix).filter(|_| prefix >= widest)
}
