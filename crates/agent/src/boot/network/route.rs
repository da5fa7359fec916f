//! What is asked of the kernel's network (rtnetlink(7); the kernel's `include/uapi/linux/{rtnetlink,if_link}.h`).

use std::net::IpAddr;

use banger_netlink::Message;
use banger_netlink::route::{address_message, family, link_message, octets};

/// The next hop is on the link, though no address of ours says so.
const RTNH_F_ONLINK: u32 = 4;

/// Flags of all that changes something. What is there already is replaced.
const CHANGE: i32 = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// Asks for every link.
pub(super) fn all_links() -> Message {
    Message::new(
        libc::RTM_GETLINK,
        libc::NLM_F_REQUEST | libc::NLM_F_DUMP,
        &[0; 16],
    )
}

/// Brings a link up.
pub(super) fn up(index: u32) -> Message {
    link_message(libc::RTM_NEWLINK, 0, index, Some(true))
}

/// Brings a link up, which takes packets of `mtu` bytes then.
pub(super) fn up_with_mtu(index: u32, mtu: u16) -> Message {
    up(index).with(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes())
}

/// Gives a link an address that is alone in its prefix.
pub(super) fn address(index: u32, address: IpAddr) -> Message {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    address_message(libc::RTM_NEWADDR, CHANGE, index, address, prefix)
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

#[cfg(test)]
mod tests {
    use super::*;
    use banger_netlink::{attributes, received};

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
        let (kind, body, attributes) = parts(up_with_mtu(2, 1400), 16);
        let expected = [0_u32, 2, 1, 1].map(u32::to_ne_bytes).concat();
        assert_eq!((kind, body), (16, expected));
        assert_eq!(attributes, [(4, 1400_u32.to_ne_bytes().to_vec())]);
    }
}
