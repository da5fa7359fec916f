use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::network::is_refused;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_block_of_the_tables_is_one() {
    assert_eq!(blocks_of(&REFUSED_V4).len(), REFUSED_V4.len());
    assert_eq!(blocks_of(&REFUSED_V6).len(), REFUSED_V6.len());
}

/// First, last and a middle address of every block that IANA's special-purpose registries do not call globally reachable
/// (but documentation), of multicast, and the service addresses that clouds document.
/// Of every block that is refused: its ends, and what clouds have in it.
const REFUSED: [&str; 71] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "100.100.2.136",
    "127.0.0.1",
    "127.255.255.255",
    "161.26.0.10",
    "166.9.0.1",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.192",
    "192.80.8.124",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::168.63.129.16",
    "64:ff9b::192.168.1.1",
    "64:ff9b::255.255.255.255",
    "64:ff9b::1:a00:1",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:ffff::1",
    "100::1",
    "100:0:0:1::1",
    "200::1",
    "2001::1",
    "2001:0:a00:1::1",
    "2001:2::1",
    "2001:1::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff:ffff::1",
    "2002:a00:1::1",
    "2002:5db8:d822::1",
    "2a00:1450::5efe:a00:1",
    "2a00:1450::200:5efe:a00:1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:42::42",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
];

/// Next to them.
const ALLOWED: [&str; 21] = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.175.48.1",
    "203.0.113.7",
    "223.255.255.255",
    "64:ff9b::93.184.216.34",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db8::1",
    "2606:4700::1",
    "2a00:1450::5eff:a00:1",
    "3fff::1",
];

#[test]
fn special_purpose_and_cloud_addresses_are_refused() {
    for address in REFUSED {
        assert!(is_refused(ip(address)), "{address}");
        banger_cases::refused("egress", &format!("table.{}", address.replace(':', "-")));
    }
    for address in ALLOWED {
        assert!(!is_refused(ip(address)), "{address}");
    }
}

#[test]
fn neighbours_are_refused_in_every_form() {
    let around = Surroundings {
        own: [ip("93.184.216.99"), ip("2606:2800::99")].into(),
        connected: ["93.184.216.0/24", "2606:2800::/64"]
            .map(|net| net.parse().unwrap())
            .into(),
        embedded: ["2a00:64::a00:0/104".parse().unwrap()].into(),
    };
    let refused = around.refused();
    for address in [
        "93.184.216.34",
        "93.184.216.99",
        "64:ff9b::93.184.216.34",
        "2606:2800::1",
        "2606:2800::99",
        "2a00:64::10.1.2.3",
    ] {
        assert!(refused.contains(ip(address)), "{address}");
        banger_cases::refused("egress", &format!("neighbour.{}", address.replace(':', "-")));
    }
    for address in [
        "93.184.217.1",
        "64:ff9b::93.184.217.1",
        "2606:2800:0:1::1",
        "2a00:64::11.1.2.3",
    ] {
        assert!(!refused.contains(ip(address)), "{address}");
    }
    // A rule inside names it, a wider one does not.
    let covers = |net: &str| refused.covers(&net.parse().unwrap());
    assert!(covers("93.184.216.0/25") && covers("93.184.216.34") && covers("10.0.0.0/8"));
    assert!(!covers("93.184.0.0/16") && !covers("0.0.0.0/0") && !covers("::/0"));
}

proptest! {
    /// Whatever an IPv4 address is, its NAT64 form is the same, with any surroundings.
    #[test]
    fn an_embedded_address_is_judged_as_itself(bits: u32, at: u32, len in 8u8..=32, own: u32) {
        let around = Surroundings {
            own: [Ipv4Addr::from_bits(own).into()].into(),
            connected: [Cidr::around(Ipv4Addr::from_bits(at).into(), len).unwrap()].into(),
            ..Surroundings::default()
        };
        let refused = around.refused();
        for v4 in [bits, at, own, at ^ 1] {
            let plain = IpAddr::V4(Ipv4Addr::from_bits(v4));
            let embedded = IpAddr::V6(Ipv6Addr::from_bits((0x64_ff9b_u128 << 96) | u128::from(v4)));
            prop_assert_eq!(refused.contains(plain), refused.contains(embedded));
        }
        prop_assert!(refused.contains(Ipv4Addr::from_bits(at).into()));
    }

    /// Nothing outside of 2000::/3 is public but NAT64.
    #[test]
    fn only_global_addresses_are_public(bits: u128) {
        let address = IpAddr::V6(Ipv6Addr::from_bits(bits));
        let is_global = bits >> 125 == 1 || bits >> 32 == 0x64_ff9b << 64;
        prop_assert!(is_global || is_refused(address));
    }

    /// The blocks that the packet filter has and the answer of the resolver are one table.
    #[test]
    fn blocks_and_answers_agree(bits: u128, v4: u32) {
        for address in [IpAddr::V6(Ipv6Addr::from_bits(bits)), IpAddr::V4(Ipv4Addr::from_bits(v4))] {
            let in_blocks = refused().blocks().iter().any(|block| block.contains(address));
            prop_assert_eq!(in_blocks || is_isatap(address), is_refused(address));
        }
    }
}
