//! What a VM may reach, as the root helper is told it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banger_model::network::{Cidr, InvalidRules, MAX_RULES, NetMode, Refused, Slot, merged};
use serde::{Deserialize, Serialize};

/// Addresses that a VM may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetRule {
    /// The addresses.
    pub net: Cidr,
    /// The TCP and UDP port; every port and protocol if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What a VM may reach, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// How much.
    pub mode: NetMode,
    /// Addresses beside that.
    #[serde(default)]
    pub nets: Vec<NetRule>,
    /// VMs of the same user.
    #[serde(default)]
    pub peers: BTreeSet<Slot>,
    /// TCP and UDP ports of the host, at the gateway's address.
    #[serde(default)]
    pub host_ports: BTreeSet<u16>,
}

impl Rules {
    /// Checks the number of rules, and their ports.
    ///
    /// # Errors
    /// The first limit that is broken.
    pub fn validate(&self) -> Result<(), InvalidRules> {
        let count = self.count();
        if count > MAX_RULES {
            return Err(InvalidRules::TooMany(count));
        }
        if self.host_ports.contains(&0) || self.nets.iter().any(|rule| rule.port == Some(0)) {
            return Err(InvalidRules::Port);
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nets.len() + self.peers.len() + self.host_ports.len()
    }

    /// Single addresses with a port: named so exactly that they may even be resolvers.
    pub fn exact(&self) -> BTreeSet<(IpAddr, u16)> {
        let hosts = self.nets.iter().filter(|rule| rule.net.is_host());
        hosts
            .filter_map(|rule| Some((rule.net.first(), rule.port?)))
            .collect()
    }

    /// The ports of the rules for blocks of addresses; none stands for every port.
    pub fn ports(&self) -> BTreeSet<Option<u16>> {
        self.blocks().map(|rule| rule.port).collect()
    }

    /// The blocks that may be reached at `port`: first those that lie wholly inside what is `refused`, so that they name what they
    /// are about, then all others, such as `0.0.0.0/0`, which open nothing of what is refused. Never more than there are rules,
    /// whatever is refused: so the filter of an owner's VMs is bounded by the number of their rules.
    pub fn reached(&self, port: Option<u16>, refused: &Refused) -> [Vec<Cidr>; 2] {
        let blocks = self.blocks().filter(|rule| rule.port == port);
        let blocks = blocks.map(|rule| rule.net);
        let (inside, others): (Vec<_>, Vec<_>) = blocks.partition(|net| refused.covers(net));
        [inside, others].map(merged)
    }

    fn blocks(&self) -> impl Iterator<Item = &NetRule> {
        let is_block = |rule: &&NetRule| rule.port.is_none() || !rule.net.is_host();
        self.nets.iter().filter(is_block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept() {
        let mut rules = Rules {
            host_ports: (1..=256).collect(),
            ..Rules::default()
        };
        assert_eq!(rules.validate(), Ok(()));
        rules.peers.insert(Slot(1));
        assert_eq!(rules.validate(), Err(InvalidRules::TooMany(257)));
        let zero = NetRule {
            net: "1.1.1.1".parse().unwrap(),
            port: Some(0),
        };
        assert_eq!(
            Rules {
                nets: vec![zero],
                ..Rules::default()
            }
            .validate(),
            Err(InvalidRules::Port)
        );
    }
}
