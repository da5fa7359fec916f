//! What is around a host: its addresses, and the blocks of addresses that are on its links.

use std::net::IpAddr;

use crate::array;
use crate::route::{find, ip, number};

const RTPROT_KERNEL: u8 = 2;
const RTPROT_RA: u8 = 9;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

/// A route to what is on a link of the host's, or a route that is none of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnLink {
    /// The first of its addresses.
    pub first: IpAddr,
    /// How many bits of it all of them have.
    pub prefix: u8,
    /// The link.
    pub link: u32,
    /// Whether it follows from an address of the link or from its router, and was not put there by hand or a program.
    pub follows: bool,
}

/// The route of an `RTM_NEWROUTE` that leads through no gateway.
pub fn on_link(body: &[u8]) -> Option<OnLink> {
    let &[family, prefix, _, _, _, protocol, _, kind] = body.first_chunk()?;
    let is_ip = matches!(i32::from(family), libc::AF_INET | libc::AF_INET6);
    let values = body.get(12..)?;
    let through = [libc::RTA_GATEWAY, libc::RTA_MULTIPATH, RTA_VIA, RTA_NH_ID];
    if !is_ip || kind != libc::RTN_UNICAST || through.iter().any(|&kind| find(values, kind).is_some()) {
        return None;
    }
    Some(OnLink {
        first: ip(find(values, libc::RTA_DST)?)?,
        prefix,
        link: number(find(values, libc::RTA_OIF)?, 0)?,
        follows: matches!(protocol, RTPROT_KERNEL | RTPROT_RA),
    })
}

/// The link of an `RTM_NEWLINK`, and whether those who are on it find each other: not so on tunnels, to which routes of half the
/// Internet may lead.
pub fn is_shared(body: &[u8]) -> Option<(u32, bool)> {
    let flags = u32::from_ne_bytes(array(body, 8)?);
    let apart = (libc::IFF_POINTOPOINT | libc::IFF_NOARP) as u32;
    Some((number(body, 4)?, flags & apart == 0))
}

/// The peer of a point-to-point address of an `RTM_NEWADDR`, or the own address once more.
pub fn peer(body: &[u8]) -> Option<IpAddr> {
    const IFA_ADDRESS: u16 = 1;
    ip(find(body.get(8..)?, IFA_ADDRESS)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute;

    fn route(kind: u8, protocol: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![
            libc::AF_INET as u8,
            24,
            0,
            0,
            254,
            protocol,
            253,
            kind,
            0,
            0,
            0,
            0,
        ];
        for (kind, value) in attributes {
            body.extend(attribute(*kind, value));
        }
        body
    }

    #[test]
    fn only_what_is_on_a_link_is_read() {
        let net = (libc::RTA_DST, &[203, 0, 113, 0][..]);
        let link = (libc::RTA_OIF, &[7, 0, 0, 0][..]);
        let read = on_link(&route(libc::RTN_UNICAST, RTPROT_KERNEL, &[net, link])).unwrap();
        assert_eq!(
            (read.first.to_string().as_str(), read.prefix),
            ("203.0.113.0", 24)
        );
        assert!(read.follows && read.link == u32::from_ne_bytes([7, 0, 0, 0]));
        assert!(
            !on_link(&route(libc::RTN_UNICAST, 3, &[net, link]))
                .unwrap()
                .follows
        );
        let gateway = (libc::RTA_GATEWAY, &[203, 0, 113, 1][..]);
        for other in [
            route(libc::RTN_UNICAST, 3, &[net, link, gateway]),
            route(libc::RTN_UNICAST, 3, &[net, (RTA_NH_ID, &[1, 0, 0, 0])]),
            route(libc::RTN_LOCAL, RTPROT_KERNEL, &[net, link]),
            route(libc::RTN_UNICAST, 3, &[link]),
            vec![2; 7],
        ] {
            assert_eq!(on_link(&other), None);
        }
    }
}
