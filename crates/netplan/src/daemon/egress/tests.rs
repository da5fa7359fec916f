use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use banger_model::network::{NetMode, Slot, refused};

use crate::Rules;
use crate::daemon::{DNS_OVER_HTTPS, RESOLVER_PORTS};

fn policy(mode: NetMode, allow: &[&str]) -> Policy {
    Policy {
        mode,
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn flow(rule: FlowRule, allowed: bool, address: &str, protocol: u8, port: Option<u16>) -> Flow {
    Flow {
        slot: Some(Slot(0)),
        allowed,
        rule,
        source: None,
        destination: Some(address.parse().unwrap()),
        protocol,
        port,
    }
}

fn names(texts: &[&str]) -> Vec<DomainName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Its target, the rule that allowed it, and the rules that would.
fn told(flow: &Flow, peer: Option<&str>, known: &[&str], allow: &[&str]) -> String {
    let peer: Option<VmName> = peer.map(|name| name.parse().unwrap());
    let names = names(known);
    let seen = Seen {
        flow,
        peer: peer.as_ref(),
        names: &names,
    };
    let policy = policy(NetMode::Allow, allow);
    let rule = seen
        .rule(&policy)
        .map_or_else(|| "-".to_owned(), |rule| rule.to_string());
    let enough: Vec<String> = seen.enough().iter().map(ToString::to_string).collect();
    format!("{} by {rule}; {}", seen.target(&policy), enough.join(" "))
}

#[test]
fn a_flow_that_was_refused_has_no_rule() {
    let by = |allowed| {
        told(
            &flow(FlowRule::Rule, allowed, "10.1.2.3", 6, Some(22)),
            None,
            &[],
            &["10.0.0.0/8"],
        )
    };
    assert_eq!(by(true), "10.1.2.3 by 10.0.0.0/8; 10.1.2.3:22");
    assert_eq!(by(false), "10.1.2.3 by -; 10.1.2.3:22");
}

#[test]
fn a_flow_is_called_by_name_and_has_its_rule() {
    let allow = [
        "*.example.org",
        "*.example.org:443",
        "cdn.net:80",
        "10.0.0.0/8",
        "10.1.0.0/16:22",
    ];
    let told = |flow: Flow, peer, known: &[&str]| told(&flow, peer, known, &allow);
    // Of two names at one address, the one that a rule is about.
    assert_eq!(
        told(
            flow(FlowRule::Answer, true, "203.0.113.1", 6, Some(443)),
            None,
            &["cdn.net", "deb.example.org"]
        ),
        "deb.example.org by *.example.org:443; cdn.net:443 deb.example.org:443"
    );
    assert_eq!(
        told(
            flow(FlowRule::Unlisted, false, "203.0.113.1", 6, Some(443)),
            None,
            &["cdn.net"]
        ),
        "cdn.net by -; cdn.net:443"
    );
    assert_eq!(
        told(flow(FlowRule::Rule, true, "10.1.2.3", 6, Some(22)), None, &[]),
        "10.1.2.3 by 10.1.0.0/16:22; 10.1.2.3:22"
    );
    assert_eq!(
        told(flow(FlowRule::Rule, true, "10.1.2.3", 1, None), None, &[]),
        "10.1.2.3 by 10.0.0.0/8; 10.1.2.3"
    );
    assert_eq!(
        told(
            flow(FlowRule::Peer, true, "172.16.0.3", 6, Some(80)),
            Some("db"),
            &[]
        ),
        "db.vm by vm:db; vm:db"
    );
    assert_eq!(
        told(flow(FlowRule::Host, true, "172.16.0.1", 6, Some(80)), None, &[]),
        "host by host:80; host:80"
    );
    assert_eq!(
        told(
            flow(FlowRule::Learn, true, "2001:db8:1::1", 17, Some(443)),
            None,
            &[]
        ),
        "2001:db8:1::1 by -; [2001:db8:1::1]:443"
    );
    assert_eq!(
        told(
            flow(FlowRule::Spoofed, false, "203.0.113.1", 6, Some(1)),
            None,
            &[]
        ),
        "203.0.113.1 by -; "
    );
}

#[test]
fn what_no_name_opens_is_allowed_by_number() {
    for (address, port) in [("10.0.0.5", 5432), ("9.9.9.9", 443), ("203.0.113.1", 53)] {
        let flow = flow(FlowRule::Unlisted, false, address, 6, Some(port));
        let told = told(&flow, None, &["x.org"], &[]);
        assert_eq!(told, format!("x.org by -; {address}:{port}"));
    }
    // `host:80` would be a port of the host's.
    let flow = flow(FlowRule::Unlisted, false, "203.0.113.1", 6, Some(80));
    assert_eq!(told(&flow, None, &["host"], &[]), "host by -; 203.0.113.1:80");
}

#[test]
fn a_rule_for_every_port_includes_those_for_one() {
    let rules = ["x.org:443", "x.org", "y.org:80", "1.2.3.4:22", "1.2.3.4", "vm:db"];
    let fewest = fewest(rules.map(|text| text.parse().unwrap()));
    let texts: Vec<String> = fewest.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["1.2.3.4", "x.org", "y.org:80", "vm:db"]);
}

/// A VM's way through `filter/family.nft`, with the resolver's part.
struct Guest {
    policy: Policy,
    rules: Rules,
    answers: BTreeSet<(IpAddr, Option<u16>)>,
}

impl Guest {
    fn new(policy: Policy) -> Self {
        Self {
            rules: Rules::of(&policy, |_| None),
            policy,
            answers: BTreeSet::new(),
        }
    }

    /// Whether the resolver answers; its answer opens what rules say.
    fn asks(&mut self, name: &DomainName, address: IpAddr) -> bool {
        let rules: Vec<&Allow> = self
            .policy
            .allow
            .iter()
            .filter(|rule| rule.is_for_name(name))
            .collect();
        if self.policy.mode == NetMode::Allow && rules.is_empty() {
            return false;
        }
        if !is_refused(address) {
            self.answers
                .extend(rules.iter().map(|rule| (address, rule.port())));
        }
        true
    }

    fn connects(&self, address: IpAddr, port: Option<u16>) -> Option<FlowRule> {
        let in_blocks = |port| {
            let holds = |blocks: &[Cidr]| blocks.iter().any(|block| block.contains(address));
            let [inside, others] = self.rules.reached(port, refused());
            holds(&inside) || !is_refused(address) && holds(&others)
        };
        let is_doh = |text: &&str| text.parse::<Cidr>().unwrap().contains(address);
        if port.is_some_and(|port| self.rules.exact().contains(&(address, port))) {
            return Some(FlowRule::Rule);
        }
        if port.is_some_and(|port| RESOLVER_PORTS.contains(&port))
            || port == Some(443) && DNS_OVER_HTTPS.iter().any(is_doh)
        {
            return None;
        }
        if port.is_some() && in_blocks(port) || in_blocks(None) {
            return Some(FlowRule::Rule);
        }
        if self.answers.contains(&(address, None))
            || port.is_some() && self.answers.contains(&(address, port))
        {
            return Some(FlowRule::Answer);
        }
        (!is_refused(address) && self.policy.mode == NetMode::Learn).then_some(FlowRule::Learn)
    }
}

/// What a VM did: it asked for a name perhaps, and then connected.
#[derive(Debug, Clone)]
struct Step {
    name: Option<DomainName>,
    address: IpAddr,
    port: Option<u16>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = prop::option::of(prop::sample::select(names(&[
        "host",
        "example.org",
        "www.example.org",
        "a.b.c",
        "localhost",
    ])));
    let address = prop::sample::select(vec![
        "203.0.114.1",
        "203.0.114.2",
        "10.1.2.3",
        "9.9.9.9",
        "169.254.169.254",
        "2606:2800::1",
        "fd00::1",
    ]);
    let port = prop::option::of(prop::sample::select(vec![22, 53, 80, 443, 853]));
    let step = (name, address, port).prop_map(|(name, address, port)| Step {
        name,
        address: address.parse().unwrap(),
        port,
    });
    prop::collection::vec(step, 1..24)
}

proptest! {
    /// What is learnt parses, and lets a VM that does the same again do it again; all it had no need for stays shut.
    #[test]
    fn what_is_learnt_is_enough(steps in steps(), with_rules in any::<bool>()) {
        let given = ["10.1.0.0/16:443", "9.9.9.9:53", "*.example.org:22"];
        let mut learning = Guest::new(policy(NetMode::Learn, if with_rules { &given } else { &[] }));
        let mut told: BTreeMap<IpAddr, Vec<DomainName>> = BTreeMap::new();
        let (mut reached, mut rules) = (Vec::new(), Vec::new());
        for step in &steps {
            if let Some(name) = &step.name {
                prop_assert!(learning.asks(name, step.address));
                let known = told.entry(step.address).or_default();
                known.retain(|other| other != name);
                known.insert(0, name.clone());
            }
            let Some(rule) = learning.connects(step.address, step.port) else { continue };
            let flow = flow(rule, true, &step.address.to_string(), 6, step.port);
            let known = told.get(&step.address).cloned().unwrap_or_default();
            rules.extend(Seen { flow: &flow, peer: None, names: &known }.enough());
            reached.push(step.clone());
        }
        let printed: Vec<String> = fewest(rules).iter().map(ToString::to_string).collect();
        let allow = printed.iter().map(|text| text.parse().unwrap()).collect();
        let mut allowed = Guest::new(Policy { mode: NetMode::Allow, allow });
        for step in &reached {
            // A name that leads where only a number does need not be answered.
            let answered = step.name.as_ref().is_none_or(|name| allowed.asks(name, step.address));
            let by_number = is_refused(step.address) || is_resolver(step.address, step.port)
                || step.name.as_ref().is_some_and(|name| name.as_str() == "host");
            prop_assert!(answered || by_number, "{step:?} is not answered with {printed:?}");
            // Who connects without asking goes by what was asked before.
            for name in told.get(&step.address).into_iter().flatten() {
                allowed.asks(name, step.address);
            }
            prop_assert!(allowed.connects(step.address, step.port).is_some(), "{step:?} with {printed:?}");
        }
        let other = "198.35.26.96".parse().unwrap();
        prop_assert_eq!(allowed.connects(other, Some(80)), None);
    }
}
