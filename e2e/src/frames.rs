//! Frames as a guest sends them that minds no rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub type Mac = [u8; 6];

/// To every card.
pub const EVERYONE: Mac = [0xff; 6];

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The address that a card makes of its own (RFC 4291, appendix A) in the network of `prefix`.
pub fn of_mac(prefix: Ipv6Addr, [a, b, c, d, e, f]: Mac) -> Ipv6Addr {
    let card = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits((prefix.to_bits() >> 64 << 64) | u128::from(card))
}

/// Its link-local one.
pub fn link_local(mac: Mac) -> Ipv6Addr {
    of_mac(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac)
}

/// The card that a multicast address goes to.
pub fn multicast(to: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = to.octets();
    [0x33, 0x33, a, b, c, d]
}

/// All nodes of a link.
pub const NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A frame of this type.
pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// The same frame in a VLAN.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    [
        &frame[..12],
        &VLAN.to_be_bytes(),
        &vlan.to_be_bytes(),
        &frame[12..],
    ]
    .concat()
}

/// An ARP packet: 1 asks, 2 answers. What it is known by follows it.
pub fn arp(operation: u16, (mac, ip): (Mac, Ipv4Addr), to: (Mac, Ipv4Addr), mark: &str) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4];
    let operation = operation.to_be_bytes();
    let ends = [&mac[..], &ip.octets(), &to.0, &to.1.octets()].concat();
    [&head[..], &operation, &ends, mark.as_bytes()].concat()
}

/// A frame with that.
pub fn arp_frame(to: Mac, from: Mac, packet: &[u8]) -> Vec<u8> {
    ethernet(to, from, ARP, packet)
}

/// A datagram in a frame, from address and port to address and port. Both are of one family.
pub fn udp(
    to: Mac,
    from: Mac,
    (source, near): (IpAddr, u16),
    (target, far): (IpAddr, u16),
    data: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap_or(u16::MAX);
    let numbers = [near, far, length, 0].map(u16::to_be_bytes).concat();
    packet(to, from, source, target, UDP, &[&numbers, data].concat())
}

/// An ICMP or ICMPv6 message in a frame.
pub fn icmp(to: Mac, from: Mac, source: IpAddr, target: IpAddr, kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
    let message = [&kind[..], &[0, 0], rest].concat();
    packet(to, from, source, target, protocol, &message)
}

/// Says who has `of` (RFC 4861, section 4.4): solicited or not, it replaces what was known.
pub fn advertisement(to: Mac, from: Mac, source: Ipv6Addr, of: Ipv6Addr, mark: &str) -> Vec<u8> {
    let rest = [
        &[0x20, 0, 0, 0][..],
        &of.octets(),
        &option(2, from),
        &marked(mark),
    ]
    .concat();
    icmp(to, from, source.into(), NODES.into(), [136, 0], &rest)
}

/// A link-layer address, as an option of neighbour discovery.
pub fn option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

/// An option that nobody knows, so that what it is in is known again.
pub fn marked(mark: &str) -> Vec<u8> {
    let units = (mark.len() + 2).div_ceil(8);
    let mut option = vec![253, u8::try_from(units).unwrap_or(u8::MAX)];
    option.extend(mark.as_bytes());
    option.resize(units * 8, 0);
    option
}

fn packet(to: Mac, from: Mac, source: IpAddr, target: IpAddr, protocol: u8, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let mut head = [
                &[0x45, 0][..],
                &(20 + length).to_be_bytes(),
                &[0, 1, 0, 0, 64, protocol, 0, 0],
            ]
            .concat();
            head.extend([source.octets(), target.octets()].concat());
            let sum = checksum(&head);
            head[10..12].copy_from_slice(&sum);
            // A datagram needs none (RFC 768).
            let message = if protocol == ICMP {
                summed(&[], message, 2)
            } else {
                message.to_vec()
            };
            ethernet(to, from, IPV4, &[head, message].concat())
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let ends = [source.octets(), target.octets()].concat();
            let pseudo = [&ends[..], &u32::from(length).to_be_bytes(), &[0, 0, 0, protocol]].concat();
            let at = if protocol == UDP { 6 } else { 2 };
            // Neighbour discovery is of this link alone if no router has counted it down.
            let head = [
                &[0x60, 0, 0, 0][..],
                &length.to_be_bytes(),
                &[protocol, 255],
                &ends,
            ]
            .concat();
            ethernet(to, from, IPV6, &[head, summed(&pseudo, message, at)].concat())
        }
        _ => Vec::new(),
    }
}

/// A message with its checksum at this place.
fn summed(pseudo: &[u8], message: &[u8], at: usize) -> Vec<u8> {
    let sum = checksum(&[pseudo, message].concat());
    let mut message = message.to_vec();
    message[at..at + 2].copy_from_slice(&sum);
    message
}

/// The Internet's checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |two: &[u8]| u32::from(two[0]) << 8 | u32::from(two.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was folded to 16 bits")]
    (!(sum as u16)).to_be_bytes()
}
