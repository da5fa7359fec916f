//! The plan of a user's network: what shall be on the host.

use std::collections::BTreeMap;

use banger_model::network::{Mac, Network, Slot, Surroundings};
use serde::{Deserialize, Serialize};

use crate::{Conflict, Rules};

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
