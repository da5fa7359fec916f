//! Interfaces, addresses, neighbours and routes, by rtnetlink (rtnetlink(7), linux/rtnetlink.h, linux/if_link.h). What is
//! said is so little that it is written here: what a root program links has to be read too.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use banger_model::network::{Cidr, Link, Mac, Observed, Route};
use banger_netlink::route::{self as message, link_message};
use banger_netlink::{Message, Received, array, received};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use rustix::event::{PollFd, PollFlags, poll};

const RTNLGRP_LINK: u32 = 1;
/// An acknowledgement, or the end of a list.
pub(super) const ERROR: u16 = 2;
pub(super) const DONE: u16 = 3;
/// What makes or replaces.
const SET: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// A socket that hears of what happens in these groups.
pub(crate) fn socket(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    groups
        .iter()
        .try_for_each(|&group| socket.add_membership(group))?;
    Ok(socket)
}

/// Sends a message and takes what follows up to the acknowledgement or the end of the list.
pub(crate) fn ask(socket: &Socket, message: Message) -> io::Result<Vec<Vec<u8>>> {
    socket.send(&message.numbered(0), 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for answer in received(&datagram) {
            match answer.kind {
                DONE => return Ok(answers),
                ERROR => match array(answer.body, 0).map_or(-libc::EPROTO, i32::from_ne_bytes) {
                    0 => return Ok(answers),
                    code => return Err(io::Error::from_raw_os_error(-code)),
                },
                _ => answers.push(answer.body.to_vec()),
            }
        }
    }
}

/// Waits for either; says whether the first is readable or closed.
pub(crate) fn wait(first: &impl AsFd, second: &impl AsFd) -> io::Result<bool> {
    let mut events = [first.as_fd(), second.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll(&mut events, None)?;
    Ok(!events[0].revents().is_empty())
}

/// Does something that the kernel acknowledges late: only when no processor can still look at what was removed, ten or
/// twenty milliseconds after it is gone. Returns when a message among the `news` says that it is, or else with its end.
///
/// Closing a socket of netfilter's waits as well. So the thread has `news` to its end.
pub(super) fn until(
    news: Socket,
    gone: impl Fn(&Received<'_>) -> bool,
    act: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let (ended, end) = io::pipe()?;
    let news = Arc::new(news);
    let held = (end, Arc::clone(&news));
    let acting = std::thread::spawn(move || {
        let _held = held;
        act()
    });
    loop {
        if wait(&ended, &*news)? {
            let ended = acting.join();
            return ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        // Where more news come than there is room for, some are lost; then the end tells.
        if let Ok((datagram, _)) = news.recv_from_full()
            && received(&datagram).any(|message| gone(&message))
        {
            return Ok(());
        }
    }
}

pub(super) fn observe() -> io::Result<Observed> {
    Ok(Observed {
        links: list(libc::RTM_GETLINK, &[0; 16], link)?,
        addresses: list(libc::RTM_GETADDR, &[0; 8], message::address)?,
        routes: list(libc::RTM_GETROUTE, &[0; 12], route)?,
    })
}

fn link(body: &[u8]) -> Option<Link> {
    let link = message::link(body)?;
    Some(Link {
        bridge: link.kind == "bridge",
        name: link.name,
        index: link.index,
        mac: link.mac,
        mtu: link.mtu,
        up: link.up,
        master: link.master,
        isolated: link.isolated,
        owner: link.owner,
    })
}

fn route(body: &[u8]) -> Option<Route> {
    let route = message::route(body)?;
    route.reaches.then_some(Route {
        net: Cidr::around(route.first, route.prefix)?,
        link: route.link.unwrap_or(0),
        announced: route.announced,
    })
}

pub(super) fn bridge(name: &str, mac: Mac, mtu: u16) -> io::Result<()> {
    change(message::bridge_message(name, &mac.octets(), mtu.into()))
}

pub(super) fn port(tap: &str, bridge: &str, mtu: u16) -> io::Result<()> {
    let tap = index(tap)?;
    change(message::port_message(tap, index(bridge)?, mtu.into()))?;
    // The kernel takes what is a port's own only of what is a port already.
    change(message::isolated_message(tap))
}

pub(super) fn rename(from: &str, to: &str) -> io::Result<()> {
    change(message::name_message(index(from)?, to))
}

pub(super) fn up(name: &str) -> io::Result<()> {
    change(link_message(libc::RTM_SETLINK, 0, index(name)?, true))
}

pub(super) fn down(name: &str) -> io::Result<()> {
    change(message::down_message(index(name)?))
}

pub(super) fn remove(name: &str) -> io::Result<()> {
    let Some(index) = existing(index(name))? else {
        return Ok(());
    };
    let news = socket(NETLINK_ROUTE, &[RTNLGRP_LINK])?;
    // A port that leaves its bridge is told of in the same way, but as one of that family.
    let gone = |message: &Received<'_>| {
        message.kind == libc::RTM_DELLINK
            && message.body.first() == Some(&(libc::AF_UNSPEC as u8))
            && array(message.body, 4) == Some(index.to_ne_bytes())
    };
    let removal = link_message(libc::RTM_DELLINK, 0, index, false);
    until(news, gone, move || removed(removal))
}

pub(super) fn address(link: &str, (address, prefix): (IpAddr, u8)) -> io::Result<()> {
    // Nobody else may be there: ports are isolated, and what they send is checked. So no duplicate is looked for.
    let message = message::address_message(libc::RTM_NEWADDR, SET, index(link)?, address, prefix);
    match Cidr::around(address, prefix).map(|block| block.range().last) {
        Some(IpAddr::V4(last)) => change(message.with(libc::IFA_BROADCAST, &last.octets())),
        _ => change(message),
    }
}

pub(super) fn no_address(link: &str, (address, prefix): (IpAddr, u8)) -> io::Result<()> {
    let own = message::address_message(libc::RTM_DELADDR, 0, index(link)?, address, prefix);
    removed(own)
}

pub(super) fn neighbour(bridge: &str, address: IpAddr, mac: Option<Mac>) -> io::Result<()> {
    let index = index(bridge);
    let Some(mac) = mac else {
        // Without the bridge no neighbour is on it.
        let forget = |index| message::neighbour_message(libc::RTM_DELNEIGH, 0, index, address);
        return existing(index)?.map_or(Ok(()), |index| removed(forget(index)));
    };
    let place = message::neighbour_message(libc::RTM_NEWNEIGH, SET, index?, address);
    change(place.with(libc::NDA_LLADDR, &mac.octets()))
}

pub(super) fn index(name: &str) -> io::Result<u32> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

pub(super) fn list<T, A: FromIterator<T>>(
    kind: u16,
    body: &[u8],
    read: fn(&[u8]) -> Option<T>,
) -> io::Result<A> {
    let message = Message::new(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, body);
    let found = ask(&socket(NETLINK_ROUTE, &[])?, message)?;
    Ok(found.iter().filter_map(|body| read(body)).collect())
}

fn change(message: Message) -> io::Result<()> {
    ask(&socket(NETLINK_ROUTE, &[])?, message).map(drop)
}

fn removed(message: Message) -> io::Result<()> {
    existing(change(message)).map(drop)
}

/// What there is; that something is not there is no error of who wants it gone.
fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    let error = match result {
        Ok(there) => return Ok(Some(there)),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENOENT | libc::EADDRNOTAVAIL | libc::ESRCH | libc::ENXIO) => Ok(None),
        _ => Err(error),
    }
}
