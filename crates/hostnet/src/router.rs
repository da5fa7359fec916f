//! What routers announce beside addresses, as the kernel passes it on (rtnetlink's group for options of neighbour discovery): by
//! which prefix they lead to IPv4. A host whose kernel leaves routers to another program hears nothing here; its resolvers may
//! know the same.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use banger_netplan::daemon::Translator;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The group (linux/rtnetlink.h, `RTNLGRP_ND_USEROPT`) and its message.
const GROUP: u32 = 20;
const NEW_OPTION: u16 = 68;
/// `struct nlmsghdr`, and `struct nduseroptmsg` behind it.
const HEADER: usize = 16;
const FIXED: usize = 16;
/// ICMPv6's router advertisement.
const ADVERTISEMENT: u8 = 134;

/// A prefix that a router announces; without a lifetime, no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) translator: Translator,
    pub(crate) lifetime: Duration,
}

/// A socket that hears of it.
#[derive(Debug)]
pub(crate) struct Routers(OwnedFd);

impl Routers {
    pub(crate) fn open() -> io::Result<Self> {
        // Without a protocol it is rtnetlink, whose number is zero.
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, 1 << (GROUP - 1)))?;
        Ok(Self(socket))
    }

    /// Tells of each announcement, until the socket fails.
    pub(crate) fn follow(&self, tell: impl Fn(Announced)) -> io::Result<()> {
        let mut message = [0; 4096];
        loop {
            match recv(&self.0, &mut message, RecvFlags::empty()) {
                Ok((length, _)) => announced(&message[..length]).into_iter().for_each(&tell),
                // Some were lost; routers say it again and again.
                Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a message announces, if that is a prefix.
fn announced(message: &[u8]) -> Option<Announced> {
    let number = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let body = message.get(HEADER..)?;
    let is_option = number(message, 4)? == NEW_OPTION && *body.get(8)? == ADVERTISEMENT;
    let length = usize::from(number(body, 2)?);
    let option = body.get(FIXED..FIXED + length)?;
    let (translator, seconds) = Translator::of_option(option)?;
    is_option.then_some(Announced {
        translator,
        lifetime: Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_the_kernel_passes_it_on() {
        let option = [38, 2, 0x07, 0x08, 0x20, 1, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0];
        let message = |kind: u16, icmp: u8, length: u16| {
            let mut bytes = vec![0; HEADER + FIXED];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16] = 10;
            bytes[18..20].copy_from_slice(&length.to_ne_bytes());
            bytes[24] = icmp;
            [bytes, option.to_vec()].concat()
        };
        let good = announced(&message(68, 134, 16)).unwrap();
        assert_eq!(good.translator.to_string(), "2001:db8:64::/96");
        assert_eq!(good.lifetime, Duration::from_secs(1800));
        for odd in [
            message(68, 136, 16),
            message(16, 134, 16),
            message(68, 134, 17),
            message(68, 134, 8),
        ] {
            assert_eq!(announced(&odd), None);
        }
        let whole = message(68, 134, 16);
        assert!((0..whole.len()).all(|length| announced(&whole[..length]).is_none()));
    }
}
