//! The plan of a user's network: what shall be on the host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Conflict, Mac, Rules, Slot, Subnet, Surroundings, Ula};

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

/// What shall be.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The network.
    pub prepared: Option<Prepared>,
    /// Who is attached to it.
    pub members: BTreeMap<Slot, Member>,
    /// What is around the host that leads out. Looked at, never recorded.
    pub around: Surroundings,
    /// Whether this is a namespace of a user's own, which has no traffic but that of VMs.
    pub apart: bool,
    /// Why the network has no addresses for now, if someone else has them.
    pub withdrawn: Option<Conflict>,
    /// The group of the packet filter's log that is the owner's alone.
    pub log_group: u16,
}

impl Plan {
    /// The network, if there is one.
    pub fn network(&self) -> Option<&Network> {
        self.prepared.as_ref().map(|prepared| &prepared.network)
    }
}

/// The network, and what was there before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The network.
    pub network: Network,
    /// The host's settings that were changed for it, as they were, by their path below `/proc/sys`.
    pub before: BTreeMap<String, String>,
}

/// An attached VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its card's address.
    pub mac: Mac,
    /// What it may reach.
    pub rules: Rules,
    /// Grows with each change of the rules: a connection bears the number under which it was allowed.
    pub generation: u16,
}

impl Member {
    /// A VM in the place of `old`, of another generation if its rules are others; of the `first` if there was none.
    pub fn after(old: Option<&Self>, mac: Mac, rules: Rules, first: u16) -> Self {
        let generation = match old {
            Some(old) if old.rules != rules => old.generation.wrapping_add(1),
            Some(old) => old.generation,
            None => first,
        };
        Self {
            mac,
            rules,
            generation,
        }
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

    #[test]
    fn connections_outlive_no_change_of_the_rules() {
        let mac: Mac = "06:00:00:00:00:01".parse().unwrap();
        let first = Member::after(None, mac, Rules::default(), u16::MAX);
        let same = Member::after(Some(&first), mac, Rules::default(), 7);
        assert_eq!((first.generation, same.generation), (u16::MAX, u16::MAX));
        let ports = Rules {
            host_ports: [80].into(),
            ..Rules::default()
        };
        assert_eq!(Member::after(Some(&first), mac, ports, 7).generation, 0);
    }
}
