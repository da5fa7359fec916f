//! The addresses of a user's network.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Slot, Subnet, Ula};

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
    #[error("an MTU of {0} bytes is not possible: use 1280 to 9216")]
    Mtu(u16),
    /// Too many waiting TAPs.
    #[error("a pool of {0} TAPs is not possible: use up to {MAX_POOL}")]
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
