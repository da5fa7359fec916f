//! The flows of one VM, counted by where they went and what decided.

use std::collections::HashMap;

use banger_api::{FlowVerdict, VmFlow};
use banger_model::network::{Allow, FlowRule};
use jiff::Timestamp;

/// How many flows of a verdict are kept.
pub(crate) const OF_ONE_VERDICT: usize = 500;

/// Flows that went on and flows that did not. Each are kept apart, so that a VM that knocks at every door cannot push out
/// what it reached; of each the one that was idle for longest makes room.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    allowed: Counts,
    denied: Counts,
    /// How many there were in all.
    seen: u64,
}

type Counts = HashMap<Key, Counted>;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    why: FlowRule,
    rule: Option<Allow>,
    target: String,
    protocol: String,
    port: Option<u16>,
}

#[derive(Debug)]
struct Counted {
    flow: VmFlow,
    /// Its place in the order of all that was seen.
    last: u64,
}

impl Tally {
    /// Counts a flow; its own count and times do not matter. Gives it as it is counted now.
    pub(crate) fn count(&mut self, flow: VmFlow, at: Timestamp) -> VmFlow {
        self.seen += 1;
        let counts = match flow.verdict {
            FlowVerdict::Allowed => &mut self.allowed,
            FlowVerdict::Denied => &mut self.denied,
        };
        let key = Key {
            why: flow.why,
            rule: flow.rule.clone(),
            target: flow.target.clone(),
            protocol: flow.protocol.clone(),
            port: flow.port,
        };
        if counts.len() == OF_ONE_VERDICT && !counts.contains_key(&key) {
            counts.retain({
                let oldest = counts.values().map(|counted| counted.last).min();
                move |_, counted| Some(counted.last) != oldest
            });
        }
        let at = format!("{at:.0}");
        let counted = counts.entry(key).or_insert_with(|| Counted {
            flow: VmFlow {
                count: 0,
                first: at.clone(),
                ..flow.clone()
            },
            last: 0,
        });
        counted.last = self.seen;
        counted.flow.count += 1;
        counted.flow.last = at;
        counted.flow.address = flow.address;
        counted.flow.clone()
    }

    /// All of them, the latest last.
    pub(crate) fn flows(&self) -> Vec<VmFlow> {
        let mut all: Vec<&Counted> = self.allowed.values().chain(self.denied.values()).collect();
        all.sort_by_key(|counted| counted.last);
        all.into_iter().map(|counted| counted.flow.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(verdict: FlowVerdict, target: &str) -> VmFlow {
        VmFlow {
            verdict,
            target: target.to_owned(),
            address: None,
            port: Some(443),
            protocol: "tcp".to_owned(),
            why: FlowRule::Nat,
            rule: None,
            allow: None,
            count: 0,
            first: String::new(),
            last: String::new(),
        }
    }

    #[test]
    fn the_same_is_counted_and_what_differs_is_told_apart() {
        let mut tally = Tally::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        tally.count(flow(FlowVerdict::Allowed, "a.org"), at(1));
        tally.count(flow(FlowVerdict::Denied, "a.org"), at(2));
        let other = VmFlow {
            address: Some([203, 0, 113, 2].into()),
            ..flow(FlowVerdict::Allowed, "a.org")
        };
        let counted = tally.count(other, at(3));
        assert_eq!(
            (counted.count, &*counted.first, &*counted.last),
            (2, "1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z")
        );
        let udp = VmFlow {
            protocol: "udp".to_owned(),
            ..flow(FlowVerdict::Allowed, "a.org")
        };
        tally.count(udp, at(4));
        let flows = tally.flows();
        let counts: Vec<_> = flows
            .iter()
            .map(|flow| (flow.verdict, &*flow.protocol, flow.count))
            .collect();
        use FlowVerdict::{Allowed, Denied};
        assert_eq!(
            counts,
            [(Denied, "tcp", 1), (Allowed, "tcp", 2), (Allowed, "udp", 1)]
        );
        assert_eq!(flows[1].address, Some([203, 0, 113, 2].into()));
    }

    #[test]
    fn a_flood_of_refusals_pushes_out_nothing_that_was_allowed() {
        let mut tally = Tally::default();
        tally.count(flow(FlowVerdict::Allowed, "a.org"), Timestamp::UNIX_EPOCH);
        for number in 0..5_000 {
            let target = format!("n{number}.org");
            tally.count(flow(FlowVerdict::Denied, &target), Timestamp::UNIX_EPOCH);
            // What goes on is not what was idle for longest.
            tally.count(flow(FlowVerdict::Denied, "n0.org"), Timestamp::UNIX_EPOCH);
        }
        let flows = tally.flows();
        assert_eq!(flows.len(), OF_ONE_VERDICT + 1);
        let has = |target: &str| flows.iter().any(|flow| flow.target == target);
        assert!(has("a.org") && has("n0.org") && has("n4999.org") && !has("n1.org"));
    }
}
