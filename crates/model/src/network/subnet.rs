//! The addresses of a user's VMs: an IPv4 block of the private ranges, and an IPv6 block of unique local addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{Cidr, InvalidCidr, Slot};

/// The private ranges of RFC 1918, of which a subnet is a part.
pub(super) const PRIVATE: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// The IPv4 addresses of a user's VMs: the first is the gateway's, then each slot has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cidr", into = "Cidr")]
pub struct Subnet(pub(super) Cidr);

/// A block of addresses that VMs cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    /// Not a block of addresses at all.
    #[error(transparent)]
    Cidr(#[from] InvalidCidr),
    /// Not of a private range.
    #[error("{0} is not a private network: use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")]
    NotPrivate(Cidr),
    /// Too small or too large.
    #[error("{0} has no fitting size: use a prefix of /16 to /29")]
    Size(Cidr),
    /// Not a /64 of the unique local addresses.
    #[error("{0} is not a unique local network: use a /64 of fd00::/8")]
    NotLocal(Cidr),
}

impl Subnet {
    /// The block.
    pub const fn cidr(&self) -> Cidr {
        self.0
    }

    /// The host's own address on the bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.bits() + 1)
    }

    /// How many slots have an address.
    pub fn capacity(&self) -> u16 {
        // The network's address, the gateway's and the broadcast address are no VM's.
        u16::try_from((1u32 << (32 - self.0.prefix())) - 3).unwrap_or(u16::MAX)
    }

    /// The address of the VM in a slot; none beyond the capacity.
    pub fn address(&self, slot: Slot) -> Option<Ipv4Addr> {
        (slot.0 < self.capacity()).then(|| Ipv4Addr::from_bits(self.bits() + 2 + u32::from(slot.0)))
    }

    /// The slot of an address.
    pub fn slot(&self, address: Ipv4Addr) -> Option<Slot> {
        let at = address.to_bits().checked_sub(self.bits() + 2)?;
        let slot = Slot(u16::try_from(at).ok()?);
        (slot.0 < self.capacity()).then_some(slot)
    }

    /// The block of which networks are by default.
    pub(super) const fn default_room() -> Cidr {
        match Cidr::around_v4(PRIVATE[0].0, 16) {
            Some(block) => block,
            None => panic!("16 bits are no more than 32"),
        }
    }

    /// That a block may be divided among networks.
    pub(super) fn check_room(block: Cidr) -> Result<(), InvalidSubnet> {
        if !PRIVATE.iter().any(|range| Self(block).is_in(range)) {
            return Err(InvalidSubnet::NotPrivate(block));
        }
        // A part of it must be of a size that a subnet may have.
        (block.prefix() <= 29)
            .then_some(())
            .ok_or(InvalidSubnet::Size(block))
    }

    fn is_in(&self, &(first, len): &(Ipv4Addr, u8)) -> bool {
        Cidr::around(first.into(), len).is_some_and(|range| range.covers(&self.0))
    }

    fn bits(&self) -> u32 {
        match self.0.first() {
            IpAddr::V4(first) => first.to_bits(),
            IpAddr::V6(_) => 0,
        }
    }
}

impl TryFrom<Cidr> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(block: Cidr) -> Result<Self, InvalidSubnet> {
        let subnet = Self(block);
        if !PRIVATE.iter().any(|range| subnet.is_in(range)) {
            Err(InvalidSubnet::NotPrivate(block))
        } else if !(16..=29).contains(&block.prefix()) {
            Err(InvalidSubnet::Size(block))
        } else {
            Ok(subnet)
        }
    }
}

impl From<Subnet> for Cidr {
    fn from(subnet: Subnet) -> Self {
        subnet.0
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The IPv6 addresses of a user's VMs: a /64 of the unique local addresses (RFC 4193).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cidr", into = "Cidr")]
pub struct Ula(Cidr);

impl Ula {
    /// The block that follows from a seed, which should be the same at every start and differ between hosts and users,
    /// such as the machine's id and the uid.
    pub fn from_seed(seed: &[u8]) -> Self {
        // FNV-1a (64 bits): what is needed is that seeds rarely meet, not that none can be found that do.
        let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let bits = (0xfdu128 << 120) | (u128::from(hash & 0x00ff_ffff_ffff_ffff) << 64);
        // The last 64 bits are zero, so that no address has bits beyond the prefix.
        Self(Cidr::zeroed_v6(Ipv6Addr::from_bits(bits), 64))
    }

    /// The block.
    pub const fn cidr(&self) -> Cidr {
        self.0
    }

    /// The host's own address on the bridge.
    pub fn gateway(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.bits() | 1)
    }

    /// The address of the VM in a slot.
    pub fn address(&self, slot: Slot) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.bits() + 2 + u128::from(slot.0))
    }

    /// The slot of an address.
    pub fn slot(&self, address: Ipv6Addr) -> Option<Slot> {
        let at = address.to_bits().checked_sub(self.bits() + 2)?;
        u16::try_from(at).ok().map(Slot)
    }

    fn bits(&self) -> u128 {
        match self.0.first() {
            IpAddr::V6(first) => first.to_bits(),
            IpAddr::V4(_) => 0,
        }
    }
}

impl TryFrom<Cidr> for Ula {
    type Error = InvalidSubnet;

    fn try_from(block: Cidr) -> Result<Self, InvalidSubnet> {
        match block.first() {
            IpAddr::V6(first) if first.octets()[0] == 0xfd && block.prefix() == 64 => Ok(Self(block)),
            _ => Err(InvalidSubnet::NotLocal(block)),
        }
    }
}

impl From<Ula> for Cidr {
    fn from(ula: Ula) -> Self {
        ula.0
    }
}

impl fmt::Display for Ula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_address_is_the_gateways() {
        let subnet = Subnet::preferred();
        assert_eq!(subnet.to_string(), "172.16.0.0/24");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(172, 16, 0, 1));
        assert_eq!(subnet.address(Slot(0)), Some(Ipv4Addr::new(172, 16, 0, 2)));
        assert_eq!(subnet.address(Slot(252)), Some(Ipv4Addr::new(172, 16, 0, 254)));
        assert_eq!(subnet.address(Slot(253)), None);
        assert_eq!(subnet.slot(subnet.gateway()), None);
    }

    #[test]
    fn public_and_odd_blocks_are_refused() {
        for bad in [
            "8.8.8.0/24",
            "172.16.0.0/8",
            "10.0.0.0/15",
            "10.0.0.0/30",
            "fd00::/64",
            "100.64.0.0/24",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        for bad in ["2001:db8::/64", "fd00::/48", "fc00::/64", "10.0.0.0/24"] {
            assert!(Ula::try_from(bad.parse::<Cidr>().unwrap()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_slot_is_found_by_its_addresses(slot: u16, len in 16u8..=29, seed: Vec<u8>) {
            let subnet = Subnet::try_from(Cidr::around(Ipv4Addr::new(10, 9, 0, 0).into(), len).unwrap()).unwrap();
            let ula = Ula::from_seed(&seed);
            if let Some(address) = subnet.address(Slot(slot)) {
                prop_assert_eq!(subnet.slot(address), Some(Slot(slot)));
                prop_assert!(subnet.cidr().contains(address.into()));
            }
            prop_assert_eq!(ula.slot(ula.address(Slot(slot))), Some(Slot(slot)));
            prop_assert_eq!(Ula::try_from(ula.cidr()), Ok(ula));
        }
    }
}
