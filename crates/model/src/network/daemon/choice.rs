//! Which subnet a user's VMs get: what a daemon asks the helper for.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::super::{Cidr, InvalidSubnet, Subnet};

/// The private ranges of RFC 1918, of which a subnet is a part.
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

impl Subnet {
    /// Where a subnet begins its search: 172.16.0.0/24.
    pub const fn preferred() -> Self {
        Self(Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 24))
    }

    /// All private ranges.
    pub fn private() -> impl Iterator<Item = Cidr> {
        PRIVATE.into_iter().map(|range| Cidr(IpNet::V4(range)))
    }

    /// The subnet itself if it is in one of the blocks `within` and meets none that is `used`; else the first of its size that
    /// does so, behind it in its own block, then in the others. A block that is smaller is taken whole. None if every address is
    /// used.
    pub fn free(self, within: &[Cidr], used: &[Cidr]) -> Option<Self> {
        let own = self.cidr();
        let holder = within.iter().find(|block| block.covers(&own));
        let behind = holder.map(|block| (own.first(), own.prefix(), *block));
        let wholes = within.iter().map(|block| {
            // No subnet is larger than /16 or smaller than /29.
            let prefix = own.prefix().max(block.prefix()).clamp(16, 29);
            (block.first(), prefix, *block)
        });
        let blocks = behind.into_iter().chain(wholes);
        let mut all = blocks.flat_map(|(first, prefix, block)| parts(first, prefix, block));
        all.find(|part| !used.iter().any(|other| other.overlaps(part)))
            .and_then(|part| Self::try_from(part).ok())
    }
}

impl Default for Subnet {
    fn default() -> Self {
        Self::preferred()
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        text.parse::<Cidr>()?.try_into()
    }
}

/// The parts of this size of a block, from one on.
fn parts(first: IpAddr, prefix: u8, block: Cidr) -> impl Iterator<Item = Cidr> {
    let first = match first {
        IpAddr::V4(first) => Some(first.to_bits()),
        IpAddr::V6(_) => None,
    };
    let at = move |nth: u32| first?.checked_add(nth.checked_mul(1 << (32 - u32::from(prefix)))?);
    (0..1u32 << prefix.saturating_sub(8))
        .map_while(at)
        .filter_map(move |at| Cidr::new(Ipv4Addr::from_bits(at).into(), prefix).ok())
        .take_while(move |part| block.covers(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(list: &[&str]) -> Vec<Cidr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_subnet_moves_out_of_the_way() {
        let private: Vec<Cidr> = Subnet::private().collect();
        let free = |list: &[&str]| {
            let free = Subnet::preferred().free(&private, &blocks(list));
            free.map(|subnet| subnet.to_string())
        };
        assert_eq!(free(&["10.0.0.0/8"]).as_deref(), Some("172.16.0.0/24"));
        assert_eq!(
            free(&["172.16.0.0/23", "172.17.0.0/16"]).as_deref(),
            Some("172.16.2.0/24")
        );
        assert_eq!(free(&["172.16.0.0/12"]).as_deref(), Some("10.0.0.0/24"));
        assert_eq!(free(&["172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"]), None);
    }

    #[test]
    fn a_subnet_stays_in_the_room() {
        let free = |wanted: &str, room: &str, used: &[&str]| {
            let wanted: Subnet = wanted.parse().unwrap();
            let free = wanted.free(&blocks(&[room]), &blocks(used));
            free.map(|subnet| subnet.to_string())
        };
        assert_eq!(
            free("172.16.0.0/24", "10.7.0.0/16", &[]).as_deref(),
            Some("10.7.0.0/24")
        );
        assert_eq!(
            free("10.7.3.0/24", "10.7.0.0/16", &[]).as_deref(),
            Some("10.7.3.0/24")
        );
        assert_eq!(
            free("10.7.3.0/24", "10.7.0.0/16", &["10.7.3.9"]).as_deref(),
            Some("10.7.4.0/24")
        );
        // Behind it is none, before it is.
        assert_eq!(
            free("10.7.255.0/24", "10.7.0.0/16", &["10.7.255.0/25"]).as_deref(),
            Some("10.7.0.0/24")
        );
        assert_eq!(
            free("172.16.0.0/24", "10.7.0.64/28", &[]).as_deref(),
            Some("10.7.0.64/28")
        );
        assert_eq!(free("172.16.0.0/24", "10.7.0.64/28", &["10.7.0.70"]), None);
        assert_eq!(
            free("172.16.0.0/16", "10.0.0.0/8", &["10.0.0.0/9"]).as_deref(),
            Some("10.128.0.0/16")
        );
    }

    proptest! {
        #[test]
        fn a_free_subnet_meets_nothing_that_is_used(used in prop::collection::vec((any::<u16>(), 8u8..=32), 0..20)) {
            let used: Vec<Cidr> = used.iter()
                .map(|&(at, len)| Cidr::around(Ipv4Addr::from_bits(0xac10_0000 | u32::from(at)).into(), len).unwrap())
                .collect();
            let private: Vec<Cidr> = Subnet::private().collect();
            if let Some(subnet) = Subnet::preferred().free(&private, &used) {
                prop_assert!(!used.iter().any(|block| block.overlaps(&subnet.cidr())));
            }
        }
    }
}
