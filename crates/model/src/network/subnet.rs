//! The addresses of a user's network and its VMs: an IPv4 block of the private ranges, and an IPv6 block of unique local addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{Cidr, InvalidCidr, Slot};

/// The IPv4 addresses of a user's VMs: the first is the gateway's, then each slot has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cidr", into = "Cidr")]
pub struct Subnet(pub(super) Ipv4Net);

/// A block of addresses that VMs cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    /// Not a block of addresses at all.
    #[error(transparent)]
    Cidr(#[from] InvalidCidr),
    /// Not of a private range.
    #[error("invalid subnet {0}: expected a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")]
    NotPrivate(Cidr),
    /// Too small or too large.
    #[error("invalid subnet {0}: expected a prefix length of /16 to /29")]
    Size(Cidr),
    /// Not a /64 of the unique local addresses.
    #[error("invalid IPv6 subnet {0}: expected a /64 of fd00::/8")]
    NotLocal(Cidr),
}

impl Subnet {
    /// The block.
    pub const fn cidr(&self) -> Cidr {
        Cidr(IpNet::V4(self.0))
    }

    /// The host's own address on the bridge.
    pub const fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.0.addr().to_bits() + 1)
    }

    /// How many slots have an address.
    pub fn capacity(&self) -> u16 {
        // The network's address, the gateway's and the broadcast address are no VM's.
        u16::try_from((1u32 << (32 - self.0.prefix_len())) - 3).unwrap_or(u16::MAX)
    }

    /// The address of the VM in a slot; none beyond the capacity.
    pub fn address(&self, slot: Slot) -> Option<Ipv4Addr> {
        let at = self.0.addr().to_bits() + 2 + u32::from(slot.0);
        (slot.0 < self.capacity()).then_some(Ipv4Addr::from_bits(at))
    }

    /// That a block may be divided among networks.
    pub(super) fn check_room(block: Cidr) -> Result<(), InvalidSubnet> {
        // The ends of a block are in one of the private ranges only if all of it is.
        let is_private = |end| matches!(end, IpAddr::V4(v4) if v4.is_private());
        if !is_private(block.first()) || !is_private(block.last()) {
            Err(InvalidSubnet::NotPrivate(block))
        } else if block.prefix() > 29 {
            // A part of it must be of a size that a subnet may have.
            Err(InvalidSubnet::Size(block))
        } else {
            Ok(())
        }
    }
}

impl TryFrom<Cidr> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(block: Cidr) -> Result<Self, InvalidSubnet> {
        Self::check_room(block)?;
        match block.0 {
            IpNet::V4(net) if net.prefix_len() >= 16 => Ok(Self(net)),
            _ => Err(InvalidSubnet::Size(block)),
        }
    }
}

impl From<Subnet> for Cidr {
    fn from(subnet: Subnet) -> Self {
        subnet.cidr()
    }
}

/// The IPv6 addresses of a user's VMs: a /64 of the unique local addresses (RFC 4193).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cidr", into = "Cidr")]
pub struct Ula(Ipv6Net);

impl Ula {
    /// The block that follows from a seed, which should be the same at every start and differ between hosts and users,
    /// such as the machine's id and the uid.
    pub fn from_seed(seed: &[u8]) -> Self {
        // FNV-1a (64 bits): what is needed is that seeds rarely meet, not that none can be found that do.
        let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let bits = (0xfdu128 << 120) | (u128::from(hash & 0x00ff_ffff_ffff_ffff) << 64);
        Self(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), 64))
    }

    /// The block.
    pub const fn cidr(&self) -> Cidr {
        Cidr(IpNet::V6(self.0))
    }

    /// The host's own address on the bridge.
    pub const fn gateway(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.0.addr().to_bits() | 1)
    }

    /// The address of the VM in a slot.
    pub fn address(&self, slot: Slot) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.0.addr().to_bits() + 2 + u128::from(slot.0))
    }
}

impl TryFrom<Cidr> for Ula {
    type Error = InvalidSubnet;

    fn try_from(block: Cidr) -> Result<Self, InvalidSubnet> {
        match block.0 {
            IpNet::V6(net) if net.addr().octets()[0] == 0xfd && net.prefix_len() == 64 => Ok(Self(net)),
            _ => Err(InvalidSubnet::NotLocal(block)),
        }
    }
}

impl From<Ula> for Cidr {
    fn from(ula: Ula) -> Self {
        ula.cidr()
    }
}

/// A user's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The IPv4 addresses.
    pub subnet: Subnet,
    /// The IPv6 addresses.
    pub ula: Ula,
    /// The largest packet in bytes, 1280 to 9216: the uplink's.
    pub mtu: u16,
    /// How many TAPs wait for VMs, at most 64.
    pub pool: u8,
}

/// A network that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// A packet size that no network has.
    #[error("invalid MTU {0}: expected 1280 to 9216 bytes")]
    Mtu(u16),
    /// Too many waiting TAPs.
    #[error("invalid TAP pool size {0}: expected at most {MAX_POOL}")]
    Pool(u8),
}

/// The most TAPs that may wait.
pub const MAX_POOL: u8 = 64;

impl Network {
    /// Checks the size of packets and of the pool; addresses are checked by their types.
    ///
    /// # Errors
    /// The first limit that is broken.
    pub fn validate(&self) -> Result<(), InvalidNetwork> {
        match self {
            Self { mtu, .. } if !(1280..=9216).contains(mtu) => Err(InvalidNetwork::Mtu(*mtu)),
            Self { pool, .. } if *pool > MAX_POOL => Err(InvalidNetwork::Pool(*pool)),
            _ => Ok(()),
        }
    }

    /// The host's own addresses on the bridge.
    pub fn gateways(&self) -> [IpAddr; 2] {
        [self.subnet.gateway().into(), self.ula.gateway().into()]
    }

    /// The addresses of a slot, IPv4 first.
    pub fn addresses(&self, slot: Slot) -> impl Iterator<Item = IpAddr> {
        let v4 = self.subnet.address(slot).map(IpAddr::V4);
        v4.into_iter().chain([IpAddr::V6(self.ula.address(slot))])
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

    #[test]
    fn limits_of_a_network_are_kept() {
        let network = |mtu, pool| Network {
            subnet: Subnet::preferred(),
            ula: Ula::from_seed(b"test"),
            mtu,
            pool,
        };
        for (mtu, pool) in [(1280, 0), (9216, 64)] {
            assert_eq!(network(mtu, pool).validate(), Ok(()));
        }
        assert_eq!(network(1279, 0).validate(), Err(InvalidNetwork::Mtu(1279)));
        assert_eq!(network(9217, 0).validate(), Err(InvalidNetwork::Mtu(9217)));
        assert_eq!(network(1500, 65).validate(), Err(InvalidNetwork::Pool(65)));
    }
}
