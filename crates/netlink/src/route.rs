//! Links, addresses and routes (rtnetlink(7); the kernel's `include/uapi/linux/{rtnetlink,if_link,if_addr}.h`): what the
//! kernel tells of them, and the messages that change links and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Message, array, attribute, attributes, take};

/// The flags of every message that changes something.
const CHANGE: i32 = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
const IFLA_TUN_OWNER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// The kinds of addresses: a link's own, and the peer's, which is the own one where there is no peer.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// A route that the kernel made of an address.
pub const RTPROT_KERNEL: u8 = 2;
/// A route that a router announced.
pub const RTPROT_RA: u8 = 9;
const RTA_NH_ID: u16 = 30;
/// What follows the length and the family of the address behind `RTA_VIA`.
const RTA_VIA: u16 = 18;
const FRA_DST: u16 = 1;
const FRA_TABLE: u16 = 15;

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address; loopback's is zeroes, and some interfaces have none.
    pub mac: Vec<u8>,
    /// Its largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether those who are on it find each other: not so on tunnels, to which routes of half the Internet may lead.
    pub shared: bool,
    /// What made it: `bridge`, `tun`, `veth`; nothing for hardware.
    pub kind: String,
    /// The interface that it is a port of.
    pub master: Option<u32>,
    /// Whether it is a port that no other such port hears.
    pub isolated: bool,
    /// The user who may open it, of a TUN or TAP interface.
    pub owner: Option<u32>,
}

impl Link {
    /// Whether it is a bridge.
    pub fn is_bridge(&self) -> bool {
        self.kind == "bridge"
    }
}

/// The link of an `RTM_NEWLINK`.
pub fn link(body: &[u8]) -> Option<Link> {
    let (index, flags) = (number(body, 4)?, number(body, 8)?.cast_signed());
    let mut link = Link {
        index,
        up: flags & libc::IFF_UP != 0,
        shared: flags & (libc::IFF_POINTOPOINT | libc::IFF_NOARP) == 0,
        ..Link::default()
    };
    let (mut info, mut data) = (&[][..], &[][..]);
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.to_owned(),
            libc::IFLA_MTU => link.mtu = number(value, 0)?,
            libc::IFLA_MASTER => link.master = number(value, 0),
            libc::IFLA_LINKINFO => info = value,
            _ => {}
        }
    }
    for (kind, value) in attributes(info) {
        match kind {
            libc::IFLA_INFO_KIND => link.kind = text(value),
            libc::IFLA_INFO_DATA => data = value,
            libc::IFLA_INFO_SLAVE_DATA => link.isolated = find(value, IFLA_BRPORT_ISOLATED) == Some(&[1]),
            _ => {}
        }
    }
    if link.kind == "tun" {
        link.owner = find(data, IFLA_TUN_OWNER).and_then(|owner| number(owner, 0));
    }
    Some(link)
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub link: u32,
    /// The link's own address.
    pub own: IpAddr,
    /// How many bits of it the addresses on the link have.
    pub prefix: u8,
    /// The other end's, where that is told apart.
    pub peer: Option<IpAddr>,
}

/// The address of an `RTM_NEWADDR`.
pub fn address(body: &[u8]) -> Option<Address> {
    let values = body.get(8..)?;
    let of = |kind| find(values, kind).and_then(ip);
    // Of a point-to-point link the other kind is the peer's; IPv6 has that kind alone.
    let other = of(IFA_ADDRESS);
    let own = of(IFA_LOCAL).or(other)?;
    Some(Address {
        link: number(body, 4)?,
        own,
        prefix: *body.get(1)?,
        peer: other.filter(|peer| *peer != own),
    })
}

/// A rule of policy routing that is for a block of destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The first of its addresses.
    pub first: IpAddr,
    /// How many bits of it all of them have.
    pub prefix: u8,
    /// The table that it sends them to.
    pub table: u32,
}

/// The rule of an `RTM_NEWRULE`, of IPv4 or IPv6; none for one that is for every destination.
pub fn rule(body: &[u8]) -> Option<Rule> {
    let &[family, prefix, _, _, table] = body.first_chunk()?;
    if !matches!(i32::from(family), libc::AF_INET | libc::AF_INET6) {
        return None;
    }
    let values = body.get(12..)?;
    Some(Rule {
        first: ip(find(values, FRA_DST)?)?,
        prefix,
        table: find(values, FRA_TABLE).map_or(Some(table.into()), |table| number(table, 0))?,
    })
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The first of its addresses.
    pub first: IpAddr,
    /// How many bits of it all of them have.
    pub prefix: u8,
    /// What becomes of packets (`RTN_…`).
    pub kind: u8,
    /// Who made it (`RTPROT_…`).
    pub protocol: u8,
    /// By which link, if by one alone.
    pub link: Option<u32>,
    /// Whether its addresses are on that link.
    pub direct: bool,
    /// Through whom, each with the link, if that is said.
    pub gateways: Vec<(Option<u32>, IpAddr)>,
}

impl Route {
    /// Whether it says who has its addresses; those of broadcast and multicast do not.
    pub const fn reaches(&self) -> bool {
        matches!(
            self.kind,
            libc::RTN_UNICAST
                | libc::RTN_LOCAL
                | libc::RTN_BLACKHOLE
                | libc::RTN_UNREACHABLE
                | libc::RTN_PROHIBIT
        )
    }
}

/// The route of an `RTM_NEWROUTE`, of IPv4 or IPv6.
pub fn route(body: &[u8]) -> Option<Route> {
    let &[family, prefix, _, _, _, protocol, _, kind] = body.first_chunk()?;
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let values = body.get(12..)?;
    let link = find(values, libc::RTA_OIF).and_then(|link| number(link, 0));
    let hops = find(values, libc::RTA_MULTIPATH).unwrap_or_default();
    let gateways = gateway(values).map(|gateway| (link, gateway)).into_iter();
    let further = [libc::RTA_GATEWAY, libc::RTA_MULTIPATH, RTA_VIA, RTA_NH_ID];
    let leads_further = further.iter().any(|&kind| find(values, kind).is_some());
    Some(Route {
        first: find(values, libc::RTA_DST).map_or(Some(any), ip)?,
        prefix,
        kind,
        protocol,
        link,
        direct: kind == libc::RTN_UNICAST && link.is_some() && !leads_further,
        gateways: gateways.chain(next_hops(hops)).collect(),
    })
}

/// Who is asked to forward.
fn gateway(values: &[u8]) -> Option<IpAddr> {
    let via = || ip(find(values, RTA_VIA)?.get(2..)?);
    find(values, libc::RTA_GATEWAY).and_then(ip).or_else(via)
}

/// The gateways of a route that has several (`struct rtnexthop`: a length, flags, a weight, the link; then attributes).
fn next_hops(mut rest: &[u8]) -> impl Iterator<Item = (Option<u32>, IpAddr)> {
    let hops = std::iter::from_fn(move || {
        let length = array(rest, 0).map(u16::from_ne_bytes)?;
        take(&mut rest, length.into(), 8)
    });
    hops.filter_map(|hop| Some((number(hop, 4), gateway(&hop[8..])?)))
}

/// A message about a link (`struct ifinfomsg`), which is up or down by it, if that is said; index 0 is one that is to be made.
pub fn link_message(kind: u16, flags: i32, index: u32, up: Option<bool>) -> Message {
    // Any family and type; behind the flags, which of them change.
    let flag = |set: bool| if set { libc::IFF_UP as u32 } else { 0 };
    let body = [0, index, flag(up == Some(true)), flag(up.is_some())].map(u32::to_ne_bytes);
    Message::new(kind, flags | CHANGE, body.as_flattened())
}

/// Makes a bridge, or changes the one that there is, and brings it up.
///
/// Multicast goes to each of its ports: neighbour discovery needs it, and there is no querier to learn from.
pub fn bridge_message(name: &str, mac: &[u8], mtu: u32) -> Message {
    let data = attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
    let kind = attribute(libc::IFLA_INFO_KIND, b"bridge");
    let info = [kind, attribute(libc::IFLA_INFO_DATA, &data)].concat();
    link_message(libc::RTM_NEWLINK, libc::NLM_F_CREATE, 0, Some(true))
        .with(libc::IFLA_IFNAME, &terminated(name))
        .with(libc::IFLA_ADDRESS, mac)
        .with(libc::IFLA_MTU, &mtu.to_ne_bytes())
        .with(libc::IFLA_LINKINFO, &info)
}

/// Makes a link a port of a bridge, on which the host says nothing of its own.
pub fn port_message(link: u32, bridge: u32, mtu: u32) -> Message {
    let silent = attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
    link_message(libc::RTM_SETLINK, 0, link, None)
        .with(libc::IFLA_AF_SPEC, &attribute(libc::AF_INET6 as u16, &silent))
        .with(libc::IFLA_MTU, &mtu.to_ne_bytes())
        .with(libc::IFLA_MASTER, &bridge.to_ne_bytes())
}

/// Makes a port one that no other such port hears.
pub fn isolated_message(port: u32) -> Message {
    let isolated = attribute(IFLA_BRPORT_ISOLATED, &[1]);
    let kind = attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge");
    let info = [kind, attribute(libc::IFLA_INFO_SLAVE_DATA, &isolated)].concat();
    link_message(libc::RTM_NEWLINK, 0, port, None).with(libc::IFLA_LINKINFO, &info)
}

/// Gives a link another name.
pub fn name_message(link: u32, name: &str) -> Message {
    link_message(libc::RTM_SETLINK, 0, link, None).with(libc::IFLA_IFNAME, &terminated(name))
}

/// A message about a link's address (`struct ifaddrmsg`), which is used at once: nobody is asked whether it is theirs.
pub fn address_message(kind: u16, flags: i32, index: u32, address: IpAddr, prefix: u8) -> Message {
    let of = [
        family(address),
        prefix,
        libc::IFA_F_NODAD as u8,
        libc::RT_SCOPE_UNIVERSE,
    ];
    let bytes = octets(address);
    Message::new(kind, flags | CHANGE, [of, index.to_ne_bytes()].as_flattened())
        .with(IFA_LOCAL, &bytes)
        .with(IFA_ADDRESS, &bytes)
}

/// A message about where an address is on a link (`struct ndmsg`), which is for good.
pub fn neighbour_message(kind: u16, flags: i32, index: u32, address: IpAddr) -> Message {
    let [low, high] = libc::NUD_PERMANENT.to_ne_bytes();
    let body = [[family(address), 0, 0, 0], index.to_ne_bytes(), [low, high, 0, 0]];
    Message::new(kind, flags | CHANGE, body.as_flattened()).with(libc::NDA_DST, &octets(address))
}

/// The family of an address (`AF_…`).
pub const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// The bytes of an address.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut values = attributes(bytes).filter(|(own, _)| *own == kind);
    values.next().map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
