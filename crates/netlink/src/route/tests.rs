//! Messages of rtnetlink, as the kernel writes them and takes them.

use super::*;
use crate::{attribute, received};

/// What the kernel would tell with such a message.
fn told<T>(message: Message, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    read(received(&message.numbered(0)).next()?.body)
}

#[test]
fn a_link_is_read_from_what_the_kernel_tells() {
    let mac = [6, 0, 0xac, 0x10, 0, 2];
    let named = |kind: &[u8]| {
        link_message(16, 0, 3, Some(true))
            .with(libc::IFLA_IFNAME, b"tap0\0")
            .with(libc::IFLA_ADDRESS, &mac)
            .with(libc::IFLA_MTU, &1400_u32.to_ne_bytes())
            .with(libc::IFLA_MASTER, &7_u32.to_ne_bytes())
            .with(
                libc::IFLA_LINKINFO,
                &[
                    attribute(libc::IFLA_INFO_KIND, kind),
                    attribute(
                        libc::IFLA_INFO_DATA,
                        &attribute(IFLA_TUN_OWNER, &1000_u32.to_ne_bytes()),
                    ),
                    attribute(libc::IFLA_INFO_SLAVE_DATA, &attribute(IFLA_BRPORT_ISOLATED, &[1])),
                ]
                .concat(),
            )
    };
    let expected = Link {
        index: 3,
        name: "tap0".to_owned(),
        mac: mac.into(),
        mtu: 1400,
        up: true,
        shared: true,
        kind: "tun".to_owned(),
        master: Some(7),
        isolated: true,
        owner: Some(1000),
    };
    assert_eq!(told(named(b"tun\0"), link), Some(expected));
    // The same number in another kind's data is something else.
    assert_eq!(told(named(b"veth\0"), link).unwrap().owner, None);
    assert_eq!(link(&[0; 3]), None);
}

#[test]
fn an_address_is_its_links_own_and_not_the_peers() {
    let peer = Message::new(20, 0, &[2, 24, 0, 0, 5, 0, 0, 0]).with(IFA_ADDRESS, &[10, 0, 0, 2]);
    let own = peer.clone().with(IFA_LOCAL, &[10, 0, 0, 1]);
    let found = |message| {
        let address = told(message, address).unwrap();
        let peer = address.peer.map(|peer| peer.to_string());
        (address.own.to_string(), address.prefix, peer)
    };
    assert_eq!(
        found(own),
        ("10.0.0.1".to_owned(), 24, Some("10.0.0.2".to_owned()))
    );
    assert_eq!(found(peer), ("10.0.0.2".to_owned(), 24, None));
    let v6 = address_message(20, 0, 2, "fd00::2".parse().unwrap(), 128);
    assert_eq!(found(v6), ("fd00::2".to_owned(), 128, None));
}

#[test]
fn a_route_without_a_destination_is_for_all() {
    let body = |family| [family, 0, 0, 0, 254, 9, 0, 1, 0, 0, 0, 0];
    let default = Message::new(24, 0, &body(libc::AF_INET6 as u8)).with(libc::RTA_OIF, &[4, 0, 0, 0]);
    let expected = Route {
        first: "::".parse().unwrap(),
        prefix: 0,
        kind: libc::RTN_UNICAST,
        protocol: RTPROT_RA,
        link: Some(u32::from_ne_bytes([4, 0, 0, 0])),
        direct: true,
        gateways: Vec::new(),
    };
    assert!(expected.reaches());
    assert_eq!(told(default, route), Some(expected));
    let mut broadcast = body(libc::AF_INET as u8);
    (broadcast[5], broadcast[7]) = (2, 3);
    let broadcast = told(Message::new(24, 0, &broadcast), route).unwrap();
    assert!(!broadcast.reaches() && !broadcast.direct);
    let mpls = Message::new(24, 0, &body(28));
    assert_eq!(told(mpls, route), None);
}

#[test]
fn every_gateway_of_a_route_is_found() {
    let body = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let hop = |link: u8, attributes: &[u8]| {
        let length = 8 + attributes.len() as u16;
        [&length.to_ne_bytes()[..], &[0, 0, link, 0, 0, 0], attributes].concat()
    };
    let via = [2, 0, 10, 0, 0, 3];
    let hops = [
        hop(4, &attribute(libc::RTA_GATEWAY, &[10, 0, 0, 1])),
        hop(5, &[]),
        hop(6, &attribute(RTA_VIA, &via)),
    ];
    let several = Message::new(24, 0, &body).with(libc::RTA_MULTIPATH, &hops.concat());
    let found = told(several, route).unwrap().gateways;
    let gateway = |link, last| (Some(link), IpAddr::from([10, 0, 0, last]));
    assert_eq!(found, [gateway(4, 1), gateway(6, 3)]);
    let one = Message::new(24, 0, &body).with(libc::RTA_GATEWAY, &[10, 0, 0, 9]);
    assert_eq!(
        told(one, route).unwrap().gateways,
        [(None, IpAddr::from([10, 0, 0, 9]))]
    );
    // Lengths that could never end, or lie.
    for odd in [&[0; 16][..], &[255; 16], &[9, 0, 0]] {
        let odd = Message::new(24, 0, &body).with(libc::RTA_MULTIPATH, odd);
        assert_eq!(told(odd, route).unwrap().gateways, []);
    }
}

#[test]
fn a_rule_for_destinations_is_read() {
    let body = [2, 16, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
    let to = Message::new(32, 0, &body).with(FRA_DST, &[172, 16, 0, 0]);
    let expected = Rule {
        first: "172.16.0.0".parse().unwrap(),
        prefix: 16,
        table: 254,
    };
    assert_eq!(told(to.clone(), rule), Some(expected.clone()));
    let table = to.with(FRA_TABLE, &1000_u32.to_ne_bytes());
    assert_eq!(
        told(table, rule),
        Some(Rule {
            table: 1000,
            ..expected
        })
    );
    assert_eq!(told(Message::new(32, 0, &body), rule), None);
}

#[test]
fn only_what_is_on_a_link_is_direct() {
    let direct = |kind: u8, attributes: &[(u16, &[u8])]| {
        let body = [2, 24, 0, 0, 254, RTPROT_KERNEL, 253, kind, 0, 0, 0, 0];
        let message = attributes
            .iter()
            .fold(Message::new(24, 0, &body), |message, (kind, value)| {
                message.with(*kind, value)
            });
        told(message, route).unwrap().direct
    };
    let net = (libc::RTA_DST, &[203, 0, 113, 0][..]);
    let link = (libc::RTA_OIF, &[7, 0, 0, 0][..]);
    assert!(direct(libc::RTN_UNICAST, &[net, link]));
    let gateway = (libc::RTA_GATEWAY, &[203, 0, 113, 1][..]);
    assert!(!direct(libc::RTN_UNICAST, &[net, link, gateway]));
    assert!(!direct(libc::RTN_UNICAST, &[net, (RTA_NH_ID, &[1, 0, 0, 0])]));
    assert!(!direct(libc::RTN_LOCAL, &[net, link]));
    assert_eq!(route(&[2; 7]), None);
}
