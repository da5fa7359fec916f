//! What no VM reaches unless it is named, and who answers names elsewhere than here.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::Cidr;

/// Not the public Internet (IANA's special-purpose registries): this host, private and shared networks, link-local
/// addresses with the metadata services of clouds among them, multicast, and what embeds an IPv4 address.
const REFUSED: [&str; 19] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
    // The unspecified address, loopback, and IPv4 in IPv6.
    "::/16",
    // NAT64 of a network's own prefix; 64:ff9b::/96 is the public one.
    "64:ff9b:1::/48",
    // Teredo and 6to4.
    "2001::/32",
    "2002::/16",
    // Unique local addresses; fd00:ec2::254 serves metadata.
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "100::/64",
];

/// Ports on which resolvers answer: DNS, and DNS over TLS or QUIC.
pub const RESOLVER_PORTS: [u16; 2] = [53, 853];

/// Public resolvers that answer over HTTPS, by the addresses that their operators publish.
pub const DNS_OVER_HTTPS: [&str; 43] = [
    "1.0.0.1",
    "1.0.0.2",
    "1.0.0.3",
    "1.1.1.1",
    "1.1.1.2",
    "1.1.1.3",
    "8.8.4.4",
    "8.8.8.8",
    "9.9.9.9",
    "9.9.9.10",
    "9.9.9.11",
    "9.9.9.12",
    "45.90.28.0/22",
    "76.76.2.0/24",
    "76.76.10.0/24",
    "94.140.14.0/23",
    "101.101.101.101",
    "104.16.248.249",
    "104.16.249.249",
    "146.112.41.2",
    "149.112.112.0/24",
    "185.222.222.222",
    "185.228.168.0/23",
    "193.110.81.0/24",
    "194.242.2.0/24",
    "208.67.220.0/24",
    "208.67.222.0/24",
    "2001:4860:4860::/48",
    "2606:4700:4700::/48",
    "2606:4700::6810:f8f9",
    "2606:4700::6810:f9f9",
    "2620:fe::/48",
    "2620:119::/32",
    "2606:1a40::/48",
    "2606:1a40:1::/48",
    "2a07:a8c0::/32",
    "2a07:a8c1::/32",
    "2a07:e340::/32",
    "2a09::/32",
    "2a0d:2a00::/32",
    "2a10:50c0::/32",
    "2a11::/32",
    "2001:de4::/48",
];

fn blocks(list: &[&str]) -> Vec<Cidr> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The blocks that are refused in every mode unless a rule lies wholly inside one of them.
pub fn refused() -> &'static [Cidr] {
    static BLOCKS: LazyLock<Vec<Cidr>> = LazyLock::new(|| blocks(&REFUSED));
    &BLOCKS
}

/// Whether an address is refused unless it is named.
pub fn is_refused(address: IpAddr) -> bool {
    refused().iter().any(|block| block.contains(address))
}

/// Whether a port of an address answers names, as far as is known; refused to VMs in modes `allow` and `learn` unless a rule
/// has both as numbers.
pub fn is_resolver(address: IpAddr, port: Option<u16>) -> bool {
    static OVER_HTTPS: LazyLock<Vec<Cidr>> = LazyLock::new(|| blocks(&DNS_OVER_HTTPS));
    match port {
        Some(443) => OVER_HTTPS.iter().any(|block| block.contains(address)),
        Some(port) => RESOLVER_PORTS.contains(&port),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_tables_is_one() {
        assert_eq!(refused().len(), REFUSED.len());
        assert_eq!(blocks(&DNS_OVER_HTTPS).len(), DNS_OVER_HTTPS.len());
        // The packet filter takes no block within another.
        for list in [refused().to_vec(), blocks(&DNS_OVER_HTTPS)] {
            for (at, block) in list.iter().enumerate() {
                assert!(
                    !list[at + 1..].iter().any(|other| other.overlaps(block)),
                    "{block}"
                );
            }
        }
    }

    #[test]
    fn metadata_hosts_and_private_networks_are_refused() {
        for address in [
            "169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "127.0.0.1",
            "::1",
            "::ffff:10.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.31.0.1",
            "100.100.100.200",
            "255.255.255.255",
            "224.0.0.1",
        ] {
            assert!(is_refused(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "203.0.113.7",
            "2001:db8::1",
            "2606:4700::1",
        ] {
            assert!(!is_refused(address.parse().unwrap()), "{address}");
        }
    }
}
