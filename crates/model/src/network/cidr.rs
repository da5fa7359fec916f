//! Blocks of addresses of either family, and their union: the interval sets of a packet filter must not overlap.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A block of addresses, such as `10.0.0.0/8`, or one address. No bit beyond the prefix is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(pub(super) IpNet);

/// A text or a pair of numbers that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not an address, or no number behind the slash.
    #[error("invalid address block `{0}`: expected CIDR notation, such as 10.0.0.0/8 or fd00::/8")]
    Text(String),
    /// A prefix longer than the address.
    #[error("invalid prefix length /{1} for {0}")]
    Length(IpAddr, u8),
    /// Bits beyond the prefix are set, so the writer may have meant another block: the one that holds the address.
    #[error("invalid address block {0}/{1}: host bits are set (the enclosing block is {2})")]
    HostBits(IpAddr, u8, Cidr),
}

impl Cidr {
    /// A block of `len` leading bits.
    ///
    /// # Errors
    /// The prefix is too long, or bits beyond it are set.
    pub fn new(address: IpAddr, len: u8) -> Result<Self, InvalidCidr> {
        match Self::around(address, len) {
            Some(block) if block.first() == address => Ok(block),
            Some(meant) => Err(InvalidCidr::HostBits(address, len, meant)),
            None => Err(InvalidCidr::Length(address, len)),
        }
    }

    /// The block of `len` leading bits that holds `address`; none if the prefix is too long.
    pub fn around(address: IpAddr, len: u8) -> Option<Self> {
        let block = IpNet::new(address, len).ok()?;
        Some(Self(block.trunc()))
    }

    /// The block that is one address.
    pub fn host(address: IpAddr) -> Self {
        Self(address.into())
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// The length of the prefix, in bits.
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether it is a single address.
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether the address is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether all of `other` is in this block.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// The same addresses as few blocks that do not overlap, in order.
pub fn merged(blocks: impl IntoIterator<Item = Cidr>) -> Vec<Cidr> {
    let blocks: Vec<IpNet> = blocks.into_iter().map(|block| block.0).collect();
    let mut union: Vec<Cidr> = IpNet::aggregate(&blocks).into_iter().map(Cidr).collect();
    union.sort_unstable();
    union
}

/// A single address is written without its prefix.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            self.first().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr::Text(text.to_owned());
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().map(Self::host).map_err(|_| invalid());
        };
        let address = address.parse().map_err(|_| invalid())?;
        // A number of this kind may have a sign, a length may not.
        let len = len.parse().ok().filter(|_| !len.starts_with('+'));
        Self::new(address, len.ok_or_else(invalid)?)
    }
}

as_text!(Cidr);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_with_bits_beyond_its_prefix_says_what_may_be_meant() {
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid address block 10.1.2.3/8: host bits are set (the enclosing block is 10.0.0.0/8)"
        );
        for bad in [
            "",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "::/129",
            "x/8",
            "10/8",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn blocks_hold_what_they_hold() {
        let block: Cidr = "172.16.0.0/12".parse().unwrap();
        assert!(block.contains("172.31.255.255".parse().unwrap()));
        assert!(!block.contains("172.32.0.0".parse().unwrap()));
        assert!(!block.contains("::ac10:1".parse().unwrap()));
        assert!(block.overlaps(&"0.0.0.0/0".parse().unwrap()));
        assert!(!block.overlaps(&"::/0".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_block_reads_back_as_it_was_written(bits: u128, len in 0u8..=128, v4: bool) {
            let block = if v4 {
                Cidr::around(IpAddr::V4(Ipv4Addr::from_bits(bits as u32)), len.min(32))
            } else {
                Cidr::around(IpAddr::V6(Ipv6Addr::from_bits(bits)), len)
            }.unwrap();
            prop_assert_eq!(block.to_string().parse::<Cidr>(), Ok(block));
            prop_assert!(block.contains(block.last()));
        }

        /// Among the 256 addresses of a small network, the union agrees with doing it one by one, and has no address twice.
        #[test]
        fn a_union_is_that_of_sets(parts in prop::collection::vec((0u8..=255, 24u8..=32), 0..6)) {
            let block = |&(at, len): &(u8, u8)| Cidr::around(Ipv4Addr::new(10, 0, 0, at).into(), len).unwrap();
            let parts: Vec<Cidr> = parts.iter().map(block).collect();
            let union = merged(parts.iter().copied());
            for at in 0..=255 {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, at));
                let wanted = parts.iter().any(|block| block.contains(address));
                let had = union.iter().filter(|block| block.contains(address)).count();
                prop_assert_eq!(had, usize::from(wanted));
            }
        }
    }
}
