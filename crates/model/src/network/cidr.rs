//! Blocks of addresses of either family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Range;

/// A block of addresses, such as `10.0.0.0/8`, or one address. No bit beyond the prefix is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    first: IpAddr,
    len: u8,
}

/// A text or a pair of numbers that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not an address, or no number behind the slash.
    #[error("`{0}` is not a block of addresses: use such as 10.0.0.0/8 or fd00::/8")]
    Text(String),
    /// A prefix longer than the address.
    #[error("a prefix of /{len} is too long for {address}")]
    Length {
        /// The address.
        address: IpAddr,
        /// The length that was asked for, in bits.
        len: u8,
    },
    /// Bits beyond the prefix are set, so the writer may have meant another block.
    #[error("{address}/{len} has bits beyond its prefix: {meant} is the block that holds it")]
    HostBits {
        /// The address.
        address: IpAddr,
        /// The length that was asked for, in bits.
        len: u8,
        /// The block of that length that holds the address.
        meant: Cidr,
    },
}

impl Cidr {
    /// A block of `len` leading bits.
    ///
    /// # Errors
    /// The prefix is too long, or bits beyond it are set.
    pub fn new(address: IpAddr, len: u8) -> Result<Self, InvalidCidr> {
        let block = Self::around(address, len).ok_or(InvalidCidr::Length { address, len })?;
        if block.first == address {
            Ok(block)
        } else {
            Err(InvalidCidr::HostBits {
                address,
                len,
                meant: block,
            })
        }
    }

    /// The block of `len` leading bits that holds `address`; none if the prefix is too long.
    pub fn around(address: IpAddr, len: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(v4) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
            _ => return None,
        };
        Some(Self { first, len })
    }

    /// [`Cidr::around`] for IPv4, in constants.
    pub(super) const fn around_v4(address: Ipv4Addr, len: u8) -> Option<Self> {
        if len == 0 || len > 32 {
            return None;
        }
        let first = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - len as u32)));
        Some(Self {
            first: IpAddr::V4(first),
            len,
        })
    }

    /// A block of which the caller knows that no bit beyond the prefix is set.
    pub(super) const fn zeroed_v6(first: Ipv6Addr, len: u8) -> Self {
        Self {
            first: IpAddr::V6(first),
            len,
        }
    }

    /// The block that is one address.
    pub const fn host(address: IpAddr) -> Self {
        let len = if address.is_ipv4() { 32 } else { 128 };
        Self { first: address, len }
    }

    /// The first address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The length of the prefix, in bits.
    pub const fn prefix(&self) -> u8 {
        self.len
    }

    /// Whether it is a single address.
    pub const fn is_host(&self) -> bool {
        self.len == if self.first.is_ipv4() { 32 } else { 128 }
    }

    /// First and last address.
    pub fn range(&self) -> Range {
        let last = match self.first {
            IpAddr::V4(v4) => {
                let rest = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | rest))
            }
            IpAddr::V6(v6) => {
                let rest = u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | rest))
            }
        };
        Range {
            first: self.first,
            last,
        }
    }

    /// Whether the address is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let range = self.range();
        address.is_ipv4() == self.first.is_ipv4() && range.first <= address && address <= range.last
    }

    /// Whether all of `other` is in this block.
    pub fn covers(&self, other: &Self) -> bool {
        self.len <= other.len && self.contains(other.first)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// A single address is written without its prefix.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.len)
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr::Text(text.to_owned());
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        match len {
            None => Ok(Self::host(address)),
            Some(len) if len.bytes().all(|b| b.is_ascii_digit()) => {
                Self::new(address, len.parse().map_err(|_| invalid())?)
            }
            Some(_) => Err(invalid()),
        }
    }
}

as_text!(Cidr);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_with_bits_beyond_its_prefix_says_what_may_be_meant() {
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err().to_string();
        assert_eq!(
            error,
            "10.1.2.3/8 has bits beyond its prefix: 10.0.0.0/8 is the block that holds it"
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
            prop_assert!(block.contains(block.range().last));
        }
    }
}
