//! The netlink socket: questions to the kernel, its answers, and its news of links.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use banger_guest_api::Failure;
use banger_netlink::route::{Link, link};
use banger_netlink::{Message, array, received};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use super::route;
use crate::failure::{During, failed};

/// The most that the kernel puts into one datagram of a list (its `netlink_dump`).
const DATAGRAM: usize = 32 << 10;

/// The types of answers that are the same for all of netlink (netlink(7)).
const NLMSG_ERROR: u16 = 2;

/// Something to be asked, and its words: `add the address 172.16.0.2`.
pub(super) struct Request(pub(super) String, pub(super) Message);

/// A socket of `NETLINK_ROUTE`.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// A socket for questions.
    pub(super) fn new() -> io::Result<Self> {
        // No protocol is `NETLINK_ROUTE`, whose number is zero.
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self(socket))
    }

    /// A socket that also hears of links as they come.
    pub(super) fn of_links() -> io::Result<Self> {
        let socket = Self::new()?;
        bind(&socket.0, &SocketAddrNetlink::new(0, libc::RTMGRP_LINK as u32))?;
        Ok(socket)
    }

    /// Asks for all of it at once, in order, and waits until all is done. The first that the kernel refuses is told.
    pub(super) fn ask(&self, requests: Vec<Request>) -> Result<(), Failure> {
        let (words, messages): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|Request(words, message)| (words, message))
            .unzip();
        let numbered = (0..)
            .zip(messages)
            .map(|(number, message)| message.numbered(number));
        let bytes: Vec<u8> = numbered.flatten().collect();
        send(&self.0, &bytes, SendFlags::empty()).during("configure the network")?;
        let mut refused: Option<(usize, Errno)> = None;
        let mut answered = 0;
        let mut buffer = vec![0; DATAGRAM];
        while answered < words.len() {
            let read = self.receive(&mut buffer).during("read the kernel's answer")?;
            for answer in received(&buffer[..read]).filter(|answer| answer.kind == NLMSG_ERROR) {
                answered += 1;
                let error = array(answer.body, 0).map_or(0, i32::from_ne_bytes);
                if error != 0 && refused.is_none() {
                    refused = Some((answer.sequence as usize, Errno::from_raw_os_error(-error)));
                }
            }
        }
        match refused {
            None => Ok(()),
            Some((number, error)) => Err(failed(words.get(number).map_or("?", String::as_str), error)),
        }
    }

    /// The link with this hardware address: one that is there, or one that comes before `patience` is over.
    pub(super) fn await_link(&self, mac: [u8; 6], patience: Duration) -> io::Result<Option<Link>> {
        let until = Instant::now() + patience;
        let mut buffer = vec![0; DATAGRAM];
        self.ask_for_links()?;
        while self.is_readable(until)? {
            let read = match self.receive(&mut buffer) {
                // More news than the socket holds: what was lost is in the list.
                Err(Errno::NOBUFS) => {
                    self.ask_for_links()?;
                    continue;
                }
                read => read?,
            };
            let links = received(&buffer[..read]).filter(|message| message.kind == libc::RTM_NEWLINK);
            let found = links
                .filter_map(|message| link(message.body))
                .find(|link| link.mac == mac);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn ask_for_links(&self) -> io::Result<()> {
        send(&self.0, &route::all_links().numbered(0), SendFlags::empty())?;
        Ok(())
    }

    fn receive(&self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        let (read, _) =
            rustix::io::retry_on_intr(|| recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty()))?;
        Ok(read)
    }

    fn is_readable(&self, until: Instant) -> io::Result<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }
}
