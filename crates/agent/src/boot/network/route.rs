//! What is asked of the kernel's network, and what it tells of its links (rtnetlink(7); the kernel's
//! `include/uapi/linux/{rtnetlink,if_link,if_addr}.h`).

use std::net::IpAddr;

use banger_netlink::{Message, array, attributes};

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// An IPv6 address is used at once, and not after a second in which nobody said that it is theirs.
const IFA_F_NODAD: u8 = 0x02;

/// The next hop is on the link, though no address of ours says so.
const RTNH_F_ONLINK: u32 = 4;

/// Flags of all that changes something. What is there already is replaced.
const CHANGE: i32 = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// The bytes of `struct ifinfomsg`.
const LINK_BODY: usize = 16;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Its hardware address; loopback's is zeroes, and some interfaces have none.
    pub(super) mac: Vec<u8>,
}

/// Asks for every link.
pub(super) fn all_links() -> Message {
    Message::new(
        libc::RTM_GETLINK,
        libc::NLM_F_REQUEST | libc::NLM_F_DUMP,
        &link_body(0, 0),
    )
}

/// The link of an `RTM_NEWLINK`.
pub(super) fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link {
        index: u32::from_ne_bytes(array(body, 4)?),
        name: String::new(),
        mac: Vec::new(),
    };
    for (kind, value) in attributes(body.get(LINK_BODY..)?) {
        match kind {
            IFLA_ADDRESS => link.mac = value.to_owned(),
            IFLA_IFNAME => link.name = String::from_utf8_lossy(value.strip_suffix(&[0])?).into_owned(),
            _ => {}
        }
    }
    Some(link)
}

/// Brings a link up.
pub(super) fn up(index: u32) -> Message {
    let up = libc::IFF_UP as u32;
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    Message::new(libc::RTM_NEWLINK, flags, &link_body(index, up))
}

/// Brings a link up, which takes packets of `mtu` bytes then.
pub(super) fn up_with_mtu(index: u32, mtu: u16) -> Message {
    up(index).with(IFLA_MTU, &u32::from(mtu).to_ne_bytes())
}

/// `struct ifinfomsg`: any family, any type; the flags are also the mask of what changes.
fn link_body(index: u32, flags: u32) -> [u8; LINK_BODY] {
    let mut body = [0; LINK_BODY];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&flags.to_ne_bytes());
    body
}

/// Gives a link an address that is alone in its prefix.
pub(super) fn address(index: u32, address: IpAddr) -> Message {
    let bytes = octets(address);
    let prefix = (bytes.len() * 8) as u8;
    // `struct ifaddrmsg`: family, prefix length, flags, scope, index.
    let mut body = [
        family(address),
        prefix,
        IFA_F_NODAD,
        libc::RT_SCOPE_UNIVERSE,
        0,
        0,
        0,
        0,
    ];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    Message::new(libc::RTM_NEWADDR, CHANGE, &body)
        .with(IFA_LOCAL, &bytes)
        .with(IFA_ADDRESS, &bytes)
}

/// Sends everything that has no other way to `gateway`, which is on the link.
pub(super) fn default_route(index: u32, gateway: IpAddr) -> Message {
    // `struct rtmsg`: family, lengths of destination and source, type of service, table, who made it, scope, type; flags.
    let mut body = [0; 12];
    body[0] = family(gateway);
    body[4] = libc::RT_TABLE_MAIN;
    body[5] = libc::RTPROT_STATIC;
    body[6] = libc::RT_SCOPE_UNIVERSE;
    body[7] = libc::RTN_UNICAST;
    body[8..12].copy_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
    Message::new(libc::RTM_NEWROUTE, CHANGE, &body)
        .with(libc::RTA_OIF, &index.to_ne_bytes())
        .with(libc::RTA_GATEWAY, &octets(gateway))
}

const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use banger_netlink::received;

    /// Type, body and attributes of a message.
    type Parts = (u16, Vec<u8>, Vec<(u16, Vec<u8>)>);

    fn parts(message: Message, body: usize) -> Parts {
        let bytes = message.numbered(1);
        let found = received(&bytes).next().unwrap();
        let (body, rest) = found.body.split_at(body);
        let attributes = attributes(rest).map(|(kind, value)| (kind, value.to_owned()));
        (found.kind, body.to_owned(), attributes.collect())
    }

    #[test]
    fn an_address_is_alone_in_its_prefix_and_used_at_once() {
        let (kind, body, attributes) = parts(address(2, "172.16.0.2".parse().unwrap()), 8);
        assert_eq!((kind, &body[..4]), (20, &[2, 32, 2, 0][..]));
        assert_eq!(body[4..], 2_u32.to_ne_bytes());
        let own = vec![172, 16, 0, 2];
        assert_eq!(attributes, [(2, own.clone()), (1, own)]);
        let (_, body, attributes) = parts(address(2, "fd00::2".parse().unwrap()), 8);
        assert_eq!(body[..4], [10, 128, 2, 0]);
        assert_eq!(attributes[0].1.len(), 16);
    }

    #[test]
    fn a_default_route_has_a_gateway_on_the_link_and_no_destination() {
        let (kind, body, attributes) = parts(default_route(2, "172.16.0.1".parse().unwrap()), 12);
        assert_eq!((kind, &body[..8]), (24, &[2, 0, 0, 0, 254, 4, 0, 1][..]));
        assert_eq!(body[8..], 4_u32.to_ne_bytes());
        assert_eq!(
            attributes,
            [(4, 2_u32.to_ne_bytes().to_vec()), (5, vec![172, 16, 0, 1])]
        );
    }

    #[test]
    fn a_link_comes_up_with_its_mtu() {
        let (kind, body, attributes) = parts(up_with_mtu(2, 1400), LINK_BODY);
        assert_eq!((kind, body), (16, link_body(2, 1).to_vec()));
        assert_eq!(attributes, [(4, 1400_u32.to_ne_bytes().to_vec())]);
    }

    #[test]
    fn a_link_is_read_from_what_the_kernel_tells() {
        let mac = [6, 0, 0xac, 0x10, 0, 2];
        let told = Message::new(16, 0, &link_body(3, 0))
            .with(IFLA_IFNAME, b"eth0\0")
            .with(IFLA_ADDRESS, &mac)
            .numbered(0);
        let found = link(received(&told).next().unwrap().body).unwrap();
        let expected = Link {
            index: 3,
            name: "eth0".to_owned(),
            mac: mac.into(),
        };
        assert_eq!(found, expected);
        assert_eq!(link(&[0; 3]), None);
    }
}
