//! The packet filter as text for `nft`: all of it, and the elements by which it changes when one VM does. Pure.

mod elements;
mod text;

pub use elements::{Element, FORGET, RENEW, all_elements, answers, change, elements, whole};
pub(crate) use elements::{OWN, own, own_rule};
pub use text::{base, no_tables, table, without_optional};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use banger_model::network::{NetMode, Network, Slot, Subnet, Ula, refused};

    use super::*;
    use crate::{Answer, Member, NetRule, Rules};

    fn network() -> Network {
        Network {
            subnet: Subnet::preferred(),
            ula: Ula::from_seed(b"host and user"),
            mtu: 1500,
            pool: 4,
        }
    }

    fn member(mode: NetMode) -> Member {
        let net = |net: &str, port| NetRule {
            net: net.parse().unwrap(),
            port,
        };
        let rules = Rules {
            mode,
            nets: vec![
                net("10.0.0.0/8", Some(22)),
                net("203.0.113.7", Some(443)),
                net("2001:db8::/32", None),
                net("192.168.0.0/15", None),
            ],
            peers: [Slot(1)].into(),
            host_ports: [8080].into(),
        };
        let mac = "06:00:00:00:00:01".parse().unwrap();
        Member {
            mac,
            rules,
            generation: 3,
        }
    }

    #[test]
    fn the_whole_filter() {
        insta::assert_snapshot!(base(1000, 0x43e8, &network(), false));
        insta::assert_snapshot!("the_whole_filter_apart", base(0, 0x4000, &network(), true));
    }

    #[test]
    fn what_a_vm_adds_and_what_a_narrower_policy_changes() {
        let all = |member| elements(1000, &network(), Slot(0), &member, refused());
        let attach = change(1000, &BTreeSet::new(), &all(member(NetMode::Allow)));
        let off = Member {
            generation: 4,
            ..member(NetMode::Off)
        };
        let narrow = change(1000, &all(member(NetMode::Allow)), &all(off));
        let answer = |port| Answer {
            address: [203, 0, 113, 9].into(),
            port,
            ttl: 60,
        };
        let told = [answer(None), answer(Some(443))];
        let answers = answers(1000, &network(), Slot(0), &told, &RENEW);
        insta::assert_snapshot!(format!(
            "# attach\n{attach}\n# narrow\n{narrow}\n# answers\n{answers}"
        ));
    }

    #[test]
    fn what_kernels_may_lack_can_be_left_out() {
        let all = base(1000, 0x43e8, &network(), false);
        let less = without_optional(&all).unwrap();
        assert_eq!(all.lines().count() - less.lines().count(), 4);
        assert!(!less.contains("timeout tcp_of_vms") && less.contains("goto others"));
        assert_eq!(without_optional(&less), None);
    }

    #[test]
    fn nothing_changes_without_a_change() {
        let all = elements(1000, &network(), Slot(0), &member(NetMode::Nat), refused());
        assert_eq!(change(1000, &all, &all), "");
    }
}
