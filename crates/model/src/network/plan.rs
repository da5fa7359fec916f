//! The plan of a user's network: what shall be on the host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Mac, Rules, Slot, Subnet, Ula};

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

impl Network {
    /// The addresses of a slot, IPv4 first.
    pub fn addresses(&self, slot: Slot) -> impl Iterator<Item = IpAddr> {
        let v4 = self.subnet.address(slot).map(IpAddr::V4);
        v4.into_iter().chain([IpAddr::V6(self.ula.address(slot))])
    }

    /// The slot that has an address.
    pub fn slot(&self, address: IpAddr) -> Option<Slot> {
        match address {
            IpAddr::V4(v4) => self.subnet.slot(v4),
            IpAddr::V6(v6) => self.ula.slot(v6),
        }
    }
}

/// What shall be.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The network.
    pub prepared: Option<Prepared>,
    /// Who is attached to it.
    pub members: BTreeMap<Slot, Member>,
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
