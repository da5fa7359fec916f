//! What the resolver and the lists of flows judge an address by: the packet filter's own tables.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::super::refused::blocks_of;
use super::super::{Cidr, DNS_OVER_HTTPS, RESOLVER_PORTS, refused};

/// Whether an address is refused on every host unless it is named.
pub fn is_refused(address: IpAddr) -> bool {
    refused().contains(address)
}

/// Whether a port of an address answers names, as far as is known; refused to VMs in modes `allow` and `learn` unless a rule
/// has both as numbers.
pub fn is_resolver(address: IpAddr, port: Option<u16>) -> bool {
    static OVER_HTTPS: LazyLock<Vec<Cidr>> = LazyLock::new(|| blocks_of(&DNS_OVER_HTTPS));
    match port {
        Some(443) => OVER_HTTPS.iter().any(|block| block.contains(address)),
        Some(port) => RESOLVER_PORTS.contains(&port),
        None => false,
    }
}
