//! What no VM reaches unless it is named. The packet filter and the resolver both judge by these tables alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv6Net};

use super::{Cidr, merged};

/// IPv4 that is not the public Internet: IANA's special-purpose registry, and service addresses of clouds. Blocks for
/// documentation (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24) are left out: they lead nowhere, and examples use them.
const REFUSED_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    // Shared by providers; Alibaba's metadata (100.100.100.200) and resolvers.
    "100.64.0.0/10",
    "127.0.0.0/8",
    // IBM Cloud's service network: resolvers, mirrors, endpoints.
    "161.26.0.0/16",
    "166.8.0.0/14",
    // Azure's host agent.
    "168.63.129.16",
    // Link-local; the metadata of most clouds.
    "169.254.0.0/16",
    "172.16.0.0/12",
    // Protocol assignments; Oracle's metadata (192.0.0.192).
    "192.0.0.0/24",
    // Equinix Metal's metadata.
    "192.80.8.124",
    // Relays of 6to4.
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    // Multicast, reserved, broadcast.
    "224.0.0.0/3",
];

/// IPv6 that is not the public Internet. Only 2000::/3 is handed out to hosts: all else is refused (loopback, embedded IPv4,
/// 64:ff9b:1::/48, discard-only, segment identifiers, unique local with the metadata of AWS and GCP, link-local, site-local,
/// multicast), but the public NAT64 prefix, in which an address is judged by the IPv4 address that it embeds. 2001:db8::/32
/// and 3fff::/20 are for documentation.
const REFUSED_V6: [&str; 4] = [
    // Protocol assignments: Teredo, benchmarks, ORCHID.
    "2001::/23",
    // 6to4.
    "2002::/16",
    "4000::/2",
    "8000::/1",
];

/// IPv4 addresses as IPv6-only hosts reach them (RFC 6052).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Addresses that are refused in every mode, unless a rule lies wholly inside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(Vec<Cidr>);

impl Refused {
    /// Whether the address is refused unless it is named.
    pub fn contains(&self, address: IpAddr) -> bool {
        is_isatap(address) || self.covers(&Cidr::host(address))
    }

    /// Whether all of `net` is refused: a rule for it names what it is about.
    pub fn covers(&self, net: &Cidr) -> bool {
        // Blocks that are one together are one here.
        self.0.iter().any(|refused| refused.covers(net))
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> &[Cidr] {
        &self.0
    }
}

/// What is around this host: what its own network is for, no VM reaches without being told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The host's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Blocks of addresses that are on a link of the host's.
    pub connected: BTreeSet<Cidr>,
    /// Those that embed refused ones of IPv4 behind a prefix of this network's own. What looks around does not see them: the owner's
    /// daemon finds them out.
    pub embedded: BTreeSet<Cidr>,
}

impl Surroundings {
    /// Everything that is refused here.
    pub fn refused(&self) -> Refused {
        Refused(merged(refused().0.iter().copied().chain(self.blocks())))
    }

    /// The host's addresses and its neighbours', in every form, as blocks that do not overlap.
    pub fn blocks(&self) -> Vec<Cidr> {
        let own = self.own.iter().map(|&address| Cidr::host(address));
        let all = own.chain(self.connected.iter().chain(&self.embedded).copied());
        merged(all.flat_map(with_nat64))
    }
}

/// The tables alone, of a host without surroundings.
pub fn refused() -> &'static Refused {
    static FIXED: LazyLock<Refused> = LazyLock::new(|| {
        let v4 = blocks_of(&REFUSED_V4).into_iter().flat_map(with_nat64);
        // The eighth of all addresses in which NAT64 is, but for that: at each length, the block beside the one that holds it.
        let beside = |len: u8| {
            let bits = NAT64.addr().to_bits() ^ (1 << (128 - len));
            Cidr::around(Ipv6Addr::from_bits(bits).into(), len)
        };
        let v6 = blocks_of(&REFUSED_V6).into_iter();
        let v6 = v6.chain((4..=NAT64.prefix_len()).filter_map(beside));
        Refused(merged(v4.chain(v6)))
    });
    &FIXED
}

/// A block, and that by which an IPv6-only host reaches it.
fn with_nat64(block: Cidr) -> impl Iterator<Item = Cidr> {
    let embedded = match block.0 {
        IpNet::V4(v4) => {
            let bits = NAT64.addr().to_bits() | u128::from(v4.addr().to_bits());
            Cidr::around(
                Ipv6Addr::from_bits(bits).into(),
                NAT64.prefix_len() + v4.prefix_len(),
            )
        }
        IpNet::V6(_) => None,
    };
    [block].into_iter().chain(embedded)
}

/// Whether the lower half of an address says that it embeds an IPv4 address of a site (ISATAP, RFC 5214).
fn is_isatap(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[4] & 0xfdff == 0 && v6.segments()[5] == 0x5efe)
}

fn blocks_of(list: &[&str]) -> Vec<Cidr> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
