//! What a VM may reach, as a user says it and as the root helper is told it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Allow, Cidr, Range, Refused, Slot, merged};
use crate::VmName;

/// The most rules that one VM may have.
pub const MAX_RULES: usize = 256;

/// How much of the network a VM reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetMode {
    /// Nothing.
    #[default]
    Off,
    /// The public Internet, and what is allowed.
    Nat,
    /// Only what is allowed.
    Allow,
    /// As `Nat` through banger's resolver alone, and each new flow is recorded.
    Learn,
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network mode: use off, nat, allow or learn")]
pub struct ParseNetModeError(String);

impl NetMode {
    /// The mode as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Nat => "nat",
            Self::Allow => "allow",
            Self::Learn => "learn",
        }
    }
}

impl fmt::Display for NetMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

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

/// Rules that break a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// Too many.
    #[error("{0} rules are more than the {MAX_RULES} that a VM may have")]
    TooMany(usize),
    /// No packet has port 0.
    #[error("port 0 in a rule: use 1 to 65535")]
    Port,
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
        let exact = |rule: &NetRule| {
            rule.port
                .filter(|_| rule.net.is_host())
                .map(|port| (rule.net.first(), port))
        };
        self.nets.iter().filter_map(exact).collect()
    }

    /// The ports of the rules for blocks of addresses; none stands for every port.
    pub fn ports(&self) -> BTreeSet<Option<u16>> {
        self.blocks().map(|rule| rule.port).collect()
    }

    /// The addresses that may be reached at `port`, as ranges that do not overlap.
    ///
    /// A rule that lies wholly inside what is `refused` names what it is about, and is kept. A wider one, such as
    /// `0.0.0.0/0`, is kept without what is refused.
    pub fn ranges(&self, port: Option<u16>, refused: &Refused) -> Vec<Range> {
        let kept = |rule: &NetRule| match refused.covers(&rule.net) {
            true => vec![rule.net.range()],
            false => rule.net.range().without(refused.ranges().iter().copied()),
        };
        merged(
            self.blocks()
                .filter(|rule| rule.port == port)
                .flat_map(kept)
                .collect(),
        )
    }

    fn blocks(&self) -> impl Iterator<Item = &NetRule> {
        self.nets
            .iter()
            .filter(|rule| rule.port.is_none() || !rule.net.is_host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::refused;

    fn policy(mode: NetMode, allow: &[&str]) -> Policy {
        Policy {
            mode,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn text(ranges: &[Range]) -> Vec<String> {
        ranges.iter().map(Range::to_string).collect()
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
        assert_eq!(text(&rules.ranges(None, refused())), ["1.2.3.0/24"]);
    }

    #[test]
    fn everything_is_everything_but_what_is_refused() {
        let rules = policy(
            NetMode::Allow,
            &["0.0.0.0/0:443", "10.1.0.0/16:443", "10.1.2.0/24:443"],
        )
        .rules(|_| None);
        let ranges = text(&rules.ranges(Some(443), refused()));
        assert_eq!(
            ranges[..3],
            ["1.0.0.0-9.255.255.255", "10.1.0.0/16", "11.0.0.0-100.63.255.255"]
        );
        assert_eq!(ranges.last().unwrap(), "198.20.0.0-223.255.255.255");
    }

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
