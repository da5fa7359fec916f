//! Which names a VM may ask for.

use banger_model::VmName;
use banger_model::network::{Allow, DomainName, NetMode, Policy};
use hickory_proto::rr::Name;

use crate::oracle::{Guest, Refusal};

/// Where browsers look whether to leave the network's resolver alone: they do if there is no such name.
const CANARY: &str = "use-application-dns.net";

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It is asked upstream; these rules are about it.
    Forward(Vec<Allow>),
    /// It is refused.
    Refuse(Refusal),
    /// It is said that there is no such name.
    Deny,
}

/// Judges a name outside the zone of VMs.
pub(crate) fn judge(policy: &Policy, name: &Name) -> Ruling {
    let domain = domain(name);
    let is_canary = domain.as_ref().is_some_and(|domain| domain.as_str() == CANARY);
    let is_about = |rule: &&Allow| domain.as_ref().is_some_and(|domain| rule.is_for_name(domain));
    let rules: Vec<Allow> = policy.allow.iter().filter(is_about).cloned().collect();
    match policy.mode {
        NetMode::Off => Ruling::Refuse(Refusal::Off),
        NetMode::Nat => Ruling::Forward(rules),
        // Other resolvers are refused to these two, so that a browser that insists on one would find nothing.
        NetMode::Allow | NetMode::Learn if is_canary => Ruling::Deny,
        NetMode::Allow if rules.is_empty() => Ruling::Refuse(Refusal::Unlisted),
        NetMode::Allow | NetMode::Learn => Ruling::Forward(rules),
    }
}

/// Whether a VM may know of another: by a rule for it, and of itself.
pub(crate) fn may_see(guest: &Guest, name: &VmName) -> bool {
    guest.policy.mode != NetMode::Off
        && (guest.name == *name || guest.policy.allow.contains(&Allow::Vm(name.clone())))
}

/// The name as rules have it; none if it is no name of a host.
fn domain(name: &Name) -> Option<DomainName> {
    let label = |label: &[u8]| {
        // A dot within a label would make two of it.
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        label.iter().all(plain).then(|| String::from_utf8(label.to_vec()))
    };
    let labels: Vec<String> = name.iter().map(|l| label(l)?.ok()).collect::<Option<_>>()?;
    labels.join(".").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(mode: NetMode, allow: &[&str]) -> Policy {
        Policy {
            mode,
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn a_vm_sees_itself_and_those_of_its_rules_and_none_without_a_network() {
        let sees = |mode, other: &str| {
            let guest = Guest {
                slot: banger_model::network::Slot(1),
                name: "own".parse().unwrap(),
                policy: std::sync::Arc::new(policy(mode, &["vm:db"])),
            };
            may_see(&guest, &other.parse().unwrap())
        };
        for mode in [NetMode::Nat, NetMode::Allow, NetMode::Learn] {
            assert!(
                sees(mode, "own") && sees(mode, "db") && !sees(mode, "other"),
                "{mode:?}"
            );
        }
        assert!(!sees(NetMode::Off, "own") && !sees(NetMode::Off, "db"));
    }

    #[test]
    fn an_allow_list_is_for_its_names_and_those_below_a_star() {
        let policy = policy(
            NetMode::Allow,
            &["example.com:443", "*.example.org", "1.2.3.0/24", "vm:db"],
        );
        let allowed = |text: &str| matches!(judge(&policy, &name(text)), Ruling::Forward(_));
        assert!(allowed("EXAMPLE.com.") && allowed("a.b.example.org."));
        for other in [
            "www.example.com.",
            "example.org.",
            "badexample.com.",
            "example.com.evil.net.",
            "db.",
            ".",
            "4.3.2.1.in-addr.arpa.",
        ] {
            assert!(!allowed(other), "{other}");
        }
    }

    #[test]
    fn a_dot_within_a_label_is_no_border() {
        let policy = policy(NetMode::Allow, &["*.example.org"]);
        let one = Name::from_labels([&b"a.example.org"[..]]).unwrap();
        let two = Name::from_labels([&b"evil.net/x"[..], b"example", b"org"]).unwrap();
        assert_eq!(judge(&policy, &one), Ruling::Refuse(Refusal::Unlisted));
        assert_eq!(judge(&policy, &two), Ruling::Refuse(Refusal::Unlisted));
    }

    #[test]
    fn every_mode_has_its_ruling() {
        let ruling = |mode, text| judge(&policy(mode, &["x.org:1", "*.org"]), &name(text));
        let both = || ["*.org", "x.org:1"].map(|text| text.parse::<Allow>().unwrap());
        assert_eq!(ruling(NetMode::Off, "x.org."), Ruling::Refuse(Refusal::Off));
        assert_eq!(ruling(NetMode::Nat, "a.net."), Ruling::Forward(vec![]));
        assert_eq!(ruling(NetMode::Learn, "a.net."), Ruling::Forward(vec![]));
        let Ruling::Forward(mut rules) = ruling(NetMode::Allow, "x.org.") else {
            panic!("refused");
        };
        rules.sort();
        assert!(rules.iter().all(|rule| both().contains(rule)), "{rules:?}");
        let canary = "use-application-dns.net.";
        assert_eq!(ruling(NetMode::Learn, canary), Ruling::Deny);
        assert_eq!(ruling(NetMode::Nat, canary), Ruling::Forward(vec![]));
    }

    proptest! {
        #[test]
        fn off_refuses_every_name(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6)) {
            if let Ok(name) = Name::from_labels(labels.iter().map(Vec::as_slice)) {
                prop_assert_eq!(judge(&policy(NetMode::Off, &["*.org"]), &name), Ruling::Refuse(Refusal::Off));
            }
        }
    }
}
