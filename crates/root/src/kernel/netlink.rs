//! Interfaces, addresses, neighbours and routes, by rtnetlink (rtnetlink(7), linux/rtnetlink.h, linux/if_link.h).
//!
//! A message is a header of its kind and attributes, each of which may be more attributes. What the helper says is so
//! little that it is written here: what a root program links has to be read too.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::network::{Cidr, Link, Mac, Route};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

const IFLA_TUN_OWNER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const RTPROT_RA: u8 = 9;
/// Kinds of routes that say who has an address; broadcast and multicast do not.
const REACHING: [u8; 5] = [
    libc::RTN_UNICAST,
    libc::RTN_LOCAL,
    libc::RTN_BLACKHOLE,
    libc::RTN_UNREACHABLE,
    libc::RTN_PROHIBIT,
];
/// An acknowledgement, or the end of a list.
const ERROR: u16 = 2;
const DONE: u16 = 3;

#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let found = self.list(libc::RTM_GETLINK, &[0; 16])?;
        Ok(found.iter().filter_map(|message| link(message)).collect())
    }

    pub(super) fn addresses(&mut self) -> io::Result<BTreeSet<(u32, IpAddr, u8)>> {
        let found = self.list(libc::RTM_GETADDR, &[0; 8])?;
        Ok(found.iter().filter_map(|message| own_address(message)).collect())
    }

    pub(super) fn routes(&mut self) -> io::Result<Vec<Route>> {
        let found = self.list(libc::RTM_GETROUTE, &[0; 12])?;
        Ok(found.iter().filter_map(|message| route(message)).collect())
    }

    pub(super) fn bridge(&mut self, name: &str, mac: Mac, mtu: u16) -> io::Result<()> {
        // Multicast goes to every port: neighbour discovery needs it, and there is no querier to learn from.
        let data = attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
        let info = [
            attribute(libc::IFLA_INFO_KIND, b"bridge"),
            attribute(libc::IFLA_INFO_DATA, &data),
        ]
        .concat();
        let attributes = [
            named(name),
            attribute(libc::IFLA_ADDRESS, &mac.octets()),
            attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes()),
            attribute(libc::IFLA_LINKINFO, &info),
        ];
        self.change(
            libc::RTM_NEWLINK,
            libc::NLM_F_CREATE,
            &link_header(0, true),
            &attributes,
        )
    }

    pub(super) fn port(&mut self, tap: &str, bridge: &str, mtu: u16) -> io::Result<()> {
        let header = link_header(self.index(tap)?, false);
        // The host says nothing of its own on a port.
        let silent = attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        let attributes = [
            attribute(libc::IFLA_AF_SPEC, &attribute(libc::AF_INET6 as u16, &silent)),
            attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes()),
            attribute(libc::IFLA_MASTER, &self.index(bridge)?.to_ne_bytes()),
        ];
        self.change(libc::RTM_SETLINK, 0, &header, &attributes)?;
        // The kernel takes what is a port's own only of what is a port already.
        let isolated = attribute(IFLA_BRPORT_ISOLATED, &[1]);
        let kind = attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge");
        let info = [kind, attribute(libc::IFLA_INFO_SLAVE_DATA, &isolated)].concat();
        self.change(
            libc::RTM_NEWLINK,
            0,
            &header,
            &[attribute(libc::IFLA_LINKINFO, &info)],
        )
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let header = link_header(self.index(from)?, false);
        self.change(libc::RTM_SETLINK, 0, &header, &[named(to)])
    }

    pub(super) fn up(&mut self, name: &str) -> io::Result<()> {
        let header = link_header(self.index(name)?, true);
        self.change(libc::RTM_SETLINK, 0, &header, &[])
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let index = self.index(name);
        gone(index.and_then(|index| self.change(libc::RTM_DELLINK, 0, &link_header(index, false), &[])))
    }

    pub(super) fn address(
        &mut self,
        link: &str,
        address: IpAddr,
        prefix: u8,
        wanted: bool,
    ) -> io::Result<()> {
        // Nobody else may be there: ports are isolated, and what they send is checked. So no duplicate is looked for.
        let header = [
            &[family(address), prefix, libc::IFA_F_NODAD as u8, 0][..],
            &self.index(link)?.to_ne_bytes(),
        ];
        let bytes = octets(address);
        let mut attributes = vec![
            attribute(libc::IFA_LOCAL, &bytes),
            attribute(libc::IFA_ADDRESS, &bytes),
        ];
        if !wanted {
            return gone(self.change(libc::RTM_DELADDR, 0, &header.concat(), &attributes));
        }
        if let (IpAddr::V4(_), Some(block)) = (address, Cidr::around(address, prefix)) {
            attributes.push(attribute(libc::IFA_BROADCAST, &octets(block.range().last)));
        }
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.change(libc::RTM_NEWADDR, flags, &header.concat(), &attributes)
    }

    pub(super) fn neighbour(&mut self, bridge: &str, address: IpAddr, mac: Option<Mac>) -> io::Result<()> {
        let index = match self.index(bridge) {
            Err(error) if mac.is_none() => return gone(Err(error)),
            index => index?.to_ne_bytes(),
        };
        let header = [
            &[family(address), 0, 0, 0][..],
            &index,
            &libc::NUD_PERMANENT.to_ne_bytes(),
            &[0, 0],
        ]
        .concat();
        let mut attributes = vec![attribute(libc::NDA_DST, &octets(address))];
        let Some(mac) = mac else {
            return gone(self.change(libc::RTM_DELNEIGH, 0, &header, &attributes));
        };
        attributes.push(attribute(libc::NDA_LLADDR, &mac.octets()));
        self.change(
            libc::RTM_NEWNEIGH,
            libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &header,
            &attributes,
        )
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    fn change(&mut self, kind: u16, flags: i32, header: &[u8], attributes: &[Vec<u8>]) -> io::Result<()> {
        let body = [header, &attributes.concat()].concat();
        self.ask(kind, flags | libc::NLM_F_ACK, &body).map(drop)
    }

    fn list(&mut self, kind: u16, header: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.ask(kind, libc::NLM_F_DUMP, header)
    }

    /// Sends one request and takes what follows up to the acknowledgement or the end of the list.
    fn ask(&mut self, kind: u16, flags: i32, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = (16 + body.len() as u32).to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        request.extend([self.sequence.to_ne_bytes(), [0; 4]].concat());
        request.extend(body);
        self.socket.send(&request, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Some(length) = number32(rest, 0)
                .map(|length| length as usize)
                .filter(|length| *length >= 16)
            {
                let message = &rest[..length.min(rest.len())];
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                if number32(message, 8) != Some(self.sequence) {
                    continue;
                }
                match number16(message, 4) {
                    Some(DONE) => return Ok(answers),
                    Some(ERROR) => match number32(message, 16).map(u32::cast_signed) {
                        Some(0) => return Ok(answers),
                        code => return Err(io::Error::from_raw_os_error(-code.unwrap_or(-libc::EPROTO))),
                    },
                    _ => answers.push(message[16..].to_vec()),
                }
            }
        }
    }
}

/// That something is not there is what was wanted.
fn gone(result: io::Result<()>) -> io::Result<()> {
    let absent = [
        libc::ENODEV,
        libc::ENOENT,
        libc::EADDRNOTAVAIL,
        libc::ESRCH,
        libc::ENXIO,
    ];
    match result {
        Err(error) if error.raw_os_error().is_some_and(|code| absent.contains(&code)) => Ok(()),
        result => result,
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [(4 + value.len() as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn named(name: &str) -> Vec<u8> {
    attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
}

fn link_header(index: u32, up: bool) -> Vec<u8> {
    let flags = if up { libc::IFF_UP as u32 } else { 0 };
    [0, index, flags, flags].map(u32::to_ne_bytes).concat()
}

const fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

pub(crate) fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The attributes after a header, each with its kind. What is cut off ends them.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(number16(rest, 0)?);
        let (kind, value) = (number16(rest, 2)?, rest.get(4..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two high bits say that there are attributes within, or of which byte order it is.
        Some((kind & 0x3fff, value))
    })
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(own, _)| *own == kind)
        .map(|(_, value)| value)
}

fn link(message: &[u8]) -> Option<Link> {
    let values = message.get(16..)?;
    let info = find(values, libc::IFLA_LINKINFO).unwrap_or_default();
    let kind = find(info, libc::IFLA_INFO_KIND).unwrap_or_default();
    let data = find(info, libc::IFLA_INFO_DATA).unwrap_or_default();
    let port = find(info, libc::IFLA_INFO_SLAVE_DATA).unwrap_or_default();
    let name = find(values, libc::IFLA_IFNAME)?;
    let tun = kind.starts_with(b"tun");
    Some(Link {
        name: String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
        index: number32(message, 4)?,
        mac: find(values, libc::IFLA_ADDRESS).unwrap_or_default().to_vec(),
        mtu: number32(find(values, libc::IFLA_MTU)?, 0)?,
        up: number32(message, 8)? & libc::IFF_UP as u32 != 0,
        bridge: kind.starts_with(b"bridge"),
        master: find(values, libc::IFLA_MASTER).and_then(|master| number32(master, 0)),
        isolated: find(port, IFLA_BRPORT_ISOLATED) == Some(&[1]),
        owner: find(data, IFLA_TUN_OWNER)
            .filter(|_| tun)
            .and_then(|owner| number32(owner, 0)),
    })
}

fn own_address(message: &[u8]) -> Option<(u32, IpAddr, u8)> {
    let values = message.get(8..)?;
    // Of a point-to-point link the other kind is the peer's; IPv6 has that kind alone.
    let own = find(values, libc::IFA_LOCAL).or_else(|| find(values, libc::IFA_ADDRESS))?;
    Some((number32(message, 4)?, address(own)?, *message.get(1)?))
}

fn route(message: &[u8]) -> Option<Route> {
    let &[family, length, _, _, _, protocol, _, kind] = message.first_chunk()?;
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let values = message.get(12..)?;
    let first = find(values, libc::RTA_DST).map_or(Some(any), address)?;
    let link = find(values, libc::RTA_OIF)
        .and_then(|link| number32(link, 0))
        .unwrap_or(0);
    REACHING.contains(&kind).then_some(Route {
        net: Cidr::around(first, length)?,
        link,
        announced: protocol == RTPROT_RA,
    })
}
