//! What a VM may reach, as a user says it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::{NetMode, NetRule, Rules, Slot};
use super::Allow;
use crate::VmName;

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network mode: use off, nat, allow or learn")]
pub struct ParseNetModeError(String);

impl FromStr for NetMode {
    type Err = ParseNetModeError;

    fn from_str(text: &str) -> Result<Self, ParseNetModeError> {
        [Self::Off, Self::Nat, Self::Allow, Self::Learn]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| ParseNetModeError(text.to_owned()))
    }
}

/// What a VM may reach, as its user says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Policy {
    /// How much.
    pub mode: NetMode,
    /// What beside that, in every mode but `Off`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
}

impl Policy {
    /// The part of the policy that is numbers. Names of hosts are not in it: they become answers as they are resolved.
    /// A VM that `slot` does not find has no address yet, so its rule is left out until it has one.
    pub fn rules(&self, slot: impl Fn(&VmName) -> Option<Slot>) -> Rules {
        let mut rules = Rules {
            mode: self.mode,
            ..Rules::default()
        };
        for allow in &self.allow {
            match allow {
                Allow::Net { net, port } => rules.nets.push(NetRule {
                    net: *net,
                    port: *port,
                }),
                Allow::Vm(name) => rules.peers.extend(slot(name)),
                Allow::Host(port) => {
                    rules.host_ports.insert(*port);
                }
                Allow::Name { .. } | Allow::Under { .. } => {}
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::network::{Cidr, refused};

    fn policy(mode: NetMode, allow: &[&str]) -> Policy {
        Policy {
            mode,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn text(ranges: &[Cidr]) -> Vec<String> {
        ranges.iter().map(Cidr::to_string).collect()
    }

    #[test]
    fn names_become_numbers_and_unknown_vms_wait() {
        let policy = policy(
            NetMode::Allow,
            &[
                "vm:db",
                "vm:gone",
                "host:80",
                "x.org:443",
                "1.2.3.4:22",
                "1.2.3.0/24",
            ],
        );
        let rules = policy.rules(|name| (name.as_str() == "db").then_some(Slot(7)));
        assert_eq!(rules.peers, BTreeSet::from([Slot(7)]));
        assert_eq!(rules.host_ports, BTreeSet::from([80]));
        assert_eq!(rules.exact(), BTreeSet::from([("1.2.3.4".parse().unwrap(), 22)]));
        assert_eq!(rules.ports(), BTreeSet::from([None]));
        assert_eq!(text(&rules.reached(None, refused())), ["1.2.3.0/24"]);
    }

    #[test]
    fn everything_is_everything_but_what_is_refused() {
        let rules = policy(
            NetMode::Allow,
            &["0.0.0.0/0:443", "10.1.0.0/16:443", "10.1.2.0/24:443"],
        )
        .rules(|_| None);
        let blocks = rules.reached(Some(443), refused());
        let text = text(&blocks);
        assert_eq!(text[..4], ["1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/7"]);
        assert_eq!(text[4..6], ["10.1.0.0/16", "11.0.0.0/8"]);
        assert_eq!(text.last().unwrap(), "208.0.0.0/4");
        let reached = |address: &str| {
            let address = address.parse().unwrap();
            blocks.iter().any(|block| block.contains(address))
        };
        assert!(reached("100.63.255.255") && !reached("100.64.0.0"));
        assert!(reached("198.20.0.0") && !reached("198.19.255.255") && !reached("224.0.0.0"));
    }
}
