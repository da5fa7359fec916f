//! Sockets of netlink, and what is asked of rtnetlink(7) by them. What is said is so little that it is written here and in
//! `banger_netlink`: what a root program links has to be read too.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use banger_netlink::route::{self as message, Address, Link, Route, Rule, link_message};
use banger_netlink::{Message, Received, array, received};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const RTNLGRP_LINK: u32 = 1;
/// An acknowledgement, or the end of a list.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A socket that hears of what happens in these groups.
pub(crate) fn socket(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    groups
        .iter()
        .try_for_each(|&group| socket.add_membership(group))?;
    Ok(socket)
}

/// The next datagram; none where more came than there was room for, so that some are lost.
pub(crate) fn receive(socket: &Socket) -> io::Result<Option<Vec<u8>>> {
    match socket.recv_from_full() {
        Ok((datagram, _)) => Ok(Some(datagram)),
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a message and takes what follows up to the acknowledgement or the end of the list. Says where news came between.
fn exchange(socket: &Socket, message: Message, news: &mut bool) -> io::Result<Vec<Vec<u8>>> {
    let mut own = SocketAddr::new(0, 0);
    socket.get_address(&mut own)?;
    socket.send(&message.numbered(0), 0)?;
    let mut answers = Vec::new();
    loop {
        let Some(datagram) = receive(socket)? else {
            *news = true;
            continue;
        };
        for answer in received(&datagram) {
            match answer.kind {
                // News bear the number of who made them.
                _ if answer.port != own.port_number() => *news |= is_news(&answer),
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

/// Whether it may matter. Links of banger's come and go with VMs, and that is no news.
pub(super) fn is_news(message: &Received<'_>) -> bool {
    let is_link = matches!(message.kind, libc::RTM_NEWLINK | libc::RTM_DELLINK);
    !is_link || message::link(message.body).is_none_or(|link| !link.name.starts_with("bgr"))
}

/// Has the kernel do something.
pub(crate) fn ask(socket: &Socket, message: Message) -> io::Result<()> {
    exchange(socket, message, &mut false).map(drop)
}

/// Waits for any of these, as long as is said; which of them are readable or closed.
pub(crate) fn wait<const N: usize>(
    files: [&dyn AsFd; N],
    patience: Option<&Timespec>,
) -> io::Result<[bool; N]> {
    let mut events = files.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN));
    rustix::io::retry_on_intr(|| poll(&mut events, patience))?;
    Ok(events.map(|event| !event.revents().is_empty()))
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
        if wait([&ended, &*news], None)?[0] {
            let ended = acting.join();
            return ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        // Where some are lost, the end tells.
        if let Some(datagram) = receive(&news)?
            && received(&datagram).any(|message| gone(&message))
        {
            return Ok(());
        }
    }
}

/// Lists of a network, which may be another one than the calling thread's: that of the socket.
pub(super) struct Lists<'a> {
    socket: &'a Socket,
    /// Whether something changed meanwhile, as far as the socket hears of it.
    pub(super) news: bool,
}

impl<'a> Lists<'a> {
    pub(super) const fn of(socket: &'a Socket) -> Self {
        Self { socket, news: false }
    }

    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        self.list(libc::RTM_GETLINK, &[0; 16], message::link)
    }

    pub(super) fn addresses(&mut self) -> io::Result<Vec<Address>> {
        self.list(libc::RTM_GETADDR, &[0; 8], message::address)
    }

    pub(super) fn routes(&mut self) -> io::Result<Vec<Route>> {
        self.list(libc::RTM_GETROUTE, &[0; 12], message::route)
    }

    pub(super) fn rules(&mut self) -> io::Result<Vec<Rule>> {
        self.list(libc::RTM_GETRULE, &[0; 12], message::rule)
    }

    fn list<T>(&mut self, kind: u16, body: &[u8], read: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let message = Message::new(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, body);
        let found = exchange(self.socket, message, &mut self.news)?;
        Ok(found.iter().filter_map(|body| read(body)).collect())
    }
}

/// A socket for questions.
pub(super) fn questions() -> io::Result<Socket> {
    socket(NETLINK_ROUTE, &[])
}

pub(super) fn index(name: &str) -> io::Result<u32> {
    Ok(rustix::net::netdevice::name_to_index(questions()?, name)?)
}

pub(super) fn change(message: Message) -> io::Result<()> {
    ask(&questions()?, message)
}

/// The same to be rid of something, which need not be there.
pub(super) fn removed(message: io::Result<Message>) -> io::Result<()> {
    match message.and_then(change) {
        Err(error) if is_absence(&error) => Ok(()),
        done => done,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENODEV | libc::ENOENT | libc::EADDRNOTAVAIL | libc::ESRCH | libc::ENXIO)
    )
}

pub(super) fn remove(name: &str) -> io::Result<()> {
    let index = match index(name) {
        Err(error) if is_absence(&error) => return Ok(()),
        index => index?,
    };
    let news = socket(NETLINK_ROUTE, &[RTNLGRP_LINK])?;
    // A port that leaves its bridge is told of in the same way, but as one of that family.
    let gone = |message: &Received<'_>| {
        message.kind == libc::RTM_DELLINK
            && message.body.first() == Some(&(libc::AF_UNSPEC as u8))
            && array(message.body, 4) == Some(index.to_ne_bytes())
    };
    let removal = link_message(libc::RTM_DELLINK, 0, index, None);
    until(news, gone, move || removed(Ok(removal)))
}
