//! What the resolver and the lists of flows judge an address by: the packet filter's own table.

use std::net::IpAddr;

use super::super::refused;

/// Whether an address is refused on every host unless it is named.
pub fn is_refused(address: IpAddr) -> bool {
    refused().contains(address)
}
