//! What the resolver and the lists of flows judge an address by: the packet filter's own tables.

use std::net::IpAddr;
use std::sync::LazyLock;

use banger_model::network::Cidr;

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

/// Whether a port of an address answers names, as far as is known; refused to VMs in modes `allow` and `learn` unless a rule
/// has both as numbers.
pub fn is_resolver(address: IpAddr, port: Option<u16>) -> bool {
    static OVER_HTTPS: LazyLock<Vec<Cidr>> = LazyLock::new(over_https);
    match port {
        Some(443) => OVER_HTTPS.iter().any(|block| block.contains(address)),
        Some(port) => RESOLVER_PORTS.contains(&port),
        None => false,
    }
}

fn over_https() -> Vec<Cidr> {
    let blocks = DNS_OVER_HTTPS.iter().filter_map(|text| text.parse().ok());
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_filter_has_the_same_tables() {
        let filter = include_str!("../filter/base.nft");
        let elements = |set: &str| -> Vec<String> {
            let (_, rest) = filter.split_once(&format!("set {set} {{")).unwrap();
            let (_, rest) = rest.split_once("elements = {").unwrap();
            let (list, _) = rest.split_once('}').unwrap();
            list.split(',').map(|element| element.trim().to_owned()).collect()
        };
        let doh = [elements("doh4"), elements("doh6")].concat();
        assert_eq!(doh, DNS_OVER_HTTPS.map(str::to_owned));
        let ports = RESOLVER_PORTS.map(|port| port.to_string());
        assert_eq!(elements("resolver_ports"), ports);
        let blocks = over_https();
        assert_eq!(blocks.len(), DNS_OVER_HTTPS.len());
        // The packet filter takes no block within another.
        for (at, block) in blocks.iter().enumerate() {
            let mut behind = blocks[at + 1..].iter();
            assert!(!behind.any(|other| other.overlaps(block)), "{block}");
        }
    }
}
