//! Interfaces, addresses, neighbours and routes, by rtnetlink (rtnetlink(7)), without a runtime.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banger_model::network::{Cidr, Link, Mac, Route};
use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData,
    InfoPortKind, InfoTun, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// The attribute of a TAP's owner (linux/if_link.h).
const IFLA_TUN_OWNER: u16 = 1;

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
        let found = self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        let link = |message| match message {
            RouteNetlinkMessage::NewLink(message) => Some(link(message)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(link).collect())
    }

    pub(super) fn addresses(&mut self) -> io::Result<BTreeSet<(u32, IpAddr, u8)>> {
        let found = self.ask(
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            NLM_F_DUMP,
        )?;
        let address = |message| match message {
            RouteNetlinkMessage::NewAddress(message) => {
                let own = message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Local(own) => Some(*own),
                    _ => None,
                });
                let of = message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Address(own) => Some(*own),
                    _ => None,
                });
                Some((message.header.index, own.or(of)?, message.header.prefix_len))
            }
            _ => None,
        };
        Ok(found.into_iter().filter_map(address).collect())
    }

    pub(super) fn routes(&mut self) -> io::Result<Vec<Route>> {
        let found = self.ask(RouteNetlinkMessage::GetRoute(RouteMessage::default()), NLM_F_DUMP)?;
        let route = |message| match message {
            RouteNetlinkMessage::NewRoute(message) => route(&message),
            _ => None,
        };
        Ok(found.into_iter().filter_map(route).collect())
    }

    pub(super) fn bridge(&mut self, name: &str, mac: Mac, mtu: u16) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.octets().to_vec()),
            LinkAttribute::Mtu(u32::from(mtu)),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                // Multicast goes to every port: neighbour discovery needs it, and there is no querier to learn from.
                LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::MulticastSnooping(false)])),
            ]),
        ];
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE)
    }

    pub(super) fn port(&mut self, tap: &str, bridge: &str, mtu: u16) -> io::Result<()> {
        let mut message = self.named(tap)?;
        message.attributes = vec![
            // The host says nothing of its own on a port.
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]),
            LinkAttribute::Controller(self.index(bridge)?),
            LinkAttribute::Mtu(u32::from(mtu)),
        ];
        self.change(RouteNetlinkMessage::SetLink(message), 0)?;
        // The kernel takes what is a port's own only of what is a port already.
        let mut message = self.named(tap)?;
        message.attributes = vec![LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(true)])),
        ])];
        self.change(RouteNetlinkMessage::NewLink(message), 0)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut message = self.named(from)?;
        message.attributes = vec![LinkAttribute::IfName(to.to_owned())];
        self.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    pub(super) fn up(&mut self, name: &str) -> io::Result<()> {
        let mut message = self.named(name)?;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.named(name) {
            Ok(message) => gone(self.change(RouteNetlinkMessage::DelLink(message), 0)),
            Err(error) => gone(Err(error)),
        }
    }

    pub(super) fn address(
        &mut self,
        link: &str,
        address: IpAddr,
        prefix: u8,
        wanted: bool,
    ) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.index = self.index(link)?;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        if !wanted {
            return gone(self.change(RouteNetlinkMessage::DelAddress(message), 0));
        }
        if let IpAddr::V4(v4) = address {
            let rest = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            message
                .attributes
                .push(AddressAttribute::Broadcast(Ipv4Addr::from_bits(
                    v4.to_bits() | rest,
                )));
        } else {
            // Nobody else may be there: the ports are isolated and what they send is checked.
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        self.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    }

    pub(super) fn neighbour(&mut self, bridge: &str, address: IpAddr, mac: Option<Mac>) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = match self.index(bridge) {
            Err(error) if mac.is_none() => return gone(Err(error)),
            index => index?,
        };
        message.attributes = vec![NeighbourAttribute::Destination(match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        })];
        let Some(mac) = mac else {
            return gone(self.change(RouteNetlinkMessage::DelNeighbour(message), 0));
        };
        message.header.state = NeighbourState::Permanent;
        message
            .attributes
            .push(NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()));
        self.change(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    }

    fn named(&self, name: &str) -> io::Result<LinkMessage> {
        let mut message = LinkMessage::default();
        message.header.index = self.index(name)?;
        Ok(message)
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, flags | NLM_F_ACK).map(drop)
    }

    /// Sends one request and takes its answers up to the acknowledgement, or the end of the list.
    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Ok(header) = NetlinkBuffer::new_checked(rest) {
                let length = (header.length() as usize)
                    .next_multiple_of(4)
                    .clamp(16, rest.len());
                let ours = header.sequence_number() == self.sequence;
                // What the library cannot read is an interface of a kind that the helper has nothing to do with.
                let payload =
                    NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map(|answer| answer.payload);
                match payload {
                    _ if !ours => {}
                    Ok(NetlinkPayload::Done(_)) => return Ok(answers),
                    Ok(NetlinkPayload::Error(error)) => {
                        return error.code.map_or(Ok(answers), |_| Err(error.to_io()));
                    }
                    Ok(NetlinkPayload::InnerMessage(answer)) => answers.push(answer),
                    _ => {}
                }
                rest = &rest[length..];
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

const fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn link(message: LinkMessage) -> Link {
    let mut link = Link {
        name: String::new(),
        index: message.header.index,
        mac: Vec::new(),
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        bridge: false,
        master: None,
        isolated: false,
        owner: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(mac) => link.mac = mac,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Controller(master) => link.master = Some(master),
            LinkAttribute::LinkInfo(infos) => infos.into_iter().for_each(|info| describe(&mut link, info)),
            _ => {}
        }
    }
    link
}

fn describe(link: &mut Link, info: LinkInfo) {
    match info {
        LinkInfo::Kind(kind) => link.bridge = kind == InfoKind::Bridge,
        LinkInfo::Data(InfoData::Tun(infos)) => link.owner = infos.iter().find_map(tun_owner),
        LinkInfo::PortData(InfoPortData::BridgePort(infos)) => {
            link.isolated = infos.contains(&InfoBridgePort::Isolated(true));
        }
        _ => {}
    }
}

fn tun_owner(info: &InfoTun) -> Option<u32> {
    let InfoTun::Other(attribute) = info else {
        return None;
    };
    if DefaultNla::kind(attribute) != IFLA_TUN_OWNER {
        return None;
    }
    let mut bytes = [0; 4];
    (attribute.value_len() == bytes.len()).then(|| attribute.emit_value(&mut bytes))?;
    Some(u32::from_ne_bytes(bytes))
}

fn route(message: &RouteMessage) -> Option<Route> {
    // Broadcast and multicast routes say nothing about who has an address.
    let kinds = [
        RouteType::Unicast,
        RouteType::Local,
        RouteType::BlackHole,
        RouteType::Unreachable,
        RouteType::Prohibit,
    ];
    if !kinds.contains(&message.header.kind) {
        return None;
    }
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let link = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    Some(Route {
        net: Cidr::around(
            destination.unwrap_or(any),
            message.header.destination_prefix_length,
        )?,
        link: link.unwrap_or(0),
        announced: message.header.protocol == RouteProtocol::Ra,
    })
}
