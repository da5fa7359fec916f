//! From what a user says that a VM may reach to what the root helper is told.

use std::collections::BTreeSet;

use banger_model::VmName;
use banger_model::network::{Allow, Policy, Slot};

use crate::{NetRule, Rules};

impl Rules {
    /// The part of the policy that is numbers. Names of hosts are not in it: they become answers as they are resolved.
    /// A VM that `slot` does not find has no address yet, so its rule is left out until it has one.
    pub fn of(policy: &Policy, slot: impl Fn(&VmName) -> Option<Slot>) -> Self {
        let mut rules = Self {
            mode: policy.mode,
            ..Self::default()
        };
        // What is said twice is one rule.
        for allow in policy.allow.iter().collect::<BTreeSet<_>>() {
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
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use banger_model::network::{Cidr, NetMode, Surroundings, refused};

    fn policy(mode: NetMode, allow: &[&str]) -> Policy {
        Policy {
            mode,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn text(ranges: Vec<Cidr>) -> Vec<String> {
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
        let rules = Rules::of(&policy, |name| (name.as_str() == "db").then_some(Slot(7)));
        assert_eq!(rules.peers, BTreeSet::from([Slot(7)]));
        assert_eq!(rules.host_ports, BTreeSet::from([80]));
        assert_eq!(rules.exact(), BTreeSet::from([("1.2.3.4".parse().unwrap(), 22)]));
        assert_eq!(rules.ports(), BTreeSet::from([None]));
        assert_eq!(
            rules.reached(None, refused()).map(text),
            [vec![], vec!["1.2.3.0/24"]]
        );
    }

    #[test]
    fn a_rule_inside_what_is_refused_names_it_and_a_wider_one_does_not() {
        let allow = [
            "0.0.0.0/0:443",
            "10.1.0.0/16:443",
            "10.1.2.0/24:443",
            "10.0.0.0/7:443",
            "[fd00::/8]:443",
            "[::/0]:443",
        ];
        let rules = Rules::of(&policy(NetMode::Allow, &allow), |_| None);
        let expected = [vec!["10.1.0.0/16", "fd00::/8"], vec!["0.0.0.0/0", "::/0"]];
        assert_eq!(rules.reached(Some(443), refused()).map(text), expected);
        assert_eq!(
            rules.reached(Some(80), refused()).map(text),
            [vec![""; 0], vec![]]
        );
    }

    fn any_block() -> impl Strategy<Value = Cidr> {
        let v4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, len)| (IpAddr::from(bits.to_be_bytes()), len));
        let v6 = (any::<u128>(), 0..=128u8).prop_map(|(bits, len)| (IpAddr::from(bits.to_be_bytes()), len));
        let known = prop::sample::select(refused().blocks().to_vec());
        let known = (known, 0..9u8).prop_map(|(block, more)| {
            let most = if block.first().is_ipv4() { 32 } else { 128 };
            (
                block.first(),
                block.prefix().saturating_add(more).saturating_sub(4).min(most),
            )
        });
        prop_oneof![v4, v6, known].prop_map(|(address, len)| Cidr::around(address, len).unwrap())
    }

    proptest! {
        /// However wide rules are and however much is refused, they are no more blocks than rules, and mean the same: what a rule
        /// opens is what lies in it and is not refused, or all of it if all of it is refused.
        #[test]
        fn rules_are_no_more_blocks_than_rules(nets in prop::collection::vec(any_block(), 0..20), at in any_block(), around in any_block()) {
            let surroundings = Surroundings { connected: [around].into(), ..Surroundings::default() };
            let refused = surroundings.refused();
            let rules = Rules {
                mode: NetMode::Allow,
                nets: nets.iter().map(|&net| NetRule { net, port: Some(443) }).collect(),
                ..Rules::default()
            };
            // Single addresses with a port are apart.
            let blocks: Vec<&Cidr> = nets.iter().filter(|net| !net.is_host()).collect();
            let [inside, others] = rules.reached(Some(443), &refused);
            prop_assert!(inside.len() + others.len() <= blocks.len());
            let ends = nets.iter().flat_map(|net| [net.first(), net.last()]);
            for address in ends.chain([at.first(), at.last(), around.first(), around.last()]) {
                let is_refused = refused.covers(&Cidr::host(address));
                let holds = |all: &[Cidr]| all.iter().any(|block| block.contains(address));
                let opened = holds(&inside) || !is_refused && holds(&others);
                let meant = |net: &&Cidr| net.contains(address) && (!is_refused || refused.covers(net));
                prop_assert_eq!(opened, blocks.iter().copied().any(|net| meant(&net)), "{}", address);
            }
        }
    }
}
