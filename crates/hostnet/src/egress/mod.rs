//! What VMs reached and what they were refused: flows that the packet filter told of and names that the resolver refused, by
//! VM, bounded, in memory.
//!
//! ```text
//!  resolver ──▶ asked ──▶ names of addresses ─┐
//!      └──────▶ refused names ────────────────┤
//!  root helper ──▶ flows.rs ──▶ seen ─────────┴─▶ tally of the VM ──▶ lists, followers
//!                                   └─▶ what was learnt ──▶ database
//! ```

mod tally;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use banger_api::{FlowVerdict, VmFlow};
use banger_dns::{Answer, Asked, Refusal, Verdict};
use banger_model::network::{Allow, DomainName, FlowRule, NetMode, Policy, Slot};
use banger_model::{VmId, VmName, VmSpec};
use banger_netplan::daemon::{Flow, Seen};
use jiff::Timestamp;
use tokio::sync::broadcast;

use self::tally::Tally;
use self::told::Told;

/// How many events wait for a follower that is slow.
const WAITING: usize = 128;

/// The flows of all VMs.
#[derive(Debug, Default)]
pub struct Egress {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Who has a slot, or had it last: what it sent may be told of when its machine is gone.
    slots: BTreeMap<Slot, VmId>,
    of: BTreeMap<VmId, Book>,
}

/// One VM's.
#[derive(Debug, Default)]
struct Book {
    policy: Policy,
    told: Told,
    tally: Tally,
    followers: Option<broadcast::Sender<News>>,
}

/// What a follower is told.
#[derive(Debug, Clone)]
pub enum News {
    /// There was a flow.
    Flow(Box<VmFlow>),
    /// Nobody could tell of flows for a while.
    Gap,
}

/// What a VM reached in mode `learn`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub(crate) vm: VmId,
    pub(crate) rules: Vec<Allow>,
}

impl Egress {
    /// A VM is attached, or has other rules.
    pub(crate) fn set(&self, slot: Slot, spec: &VmSpec) {
        let mut books = self.books();
        books.slots.retain(|_, vm| *vm != spec.id);
        books.slots.insert(slot, spec.id);
        books.of.entry(spec.id).or_default().policy = spec.net.clone();
    }

    /// A VM is no more.
    pub fn forget(&self, vm: VmId) {
        let mut books = self.books();
        books.slots.retain(|_, other| *other != vm);
        books.of.remove(&vm);
    }

    /// What a VM reached and was refused, the latest last.
    pub fn flows(&self, vm: VmId) -> Vec<VmFlow> {
        let books = self.books();
        books
            .of
            .get(&vm)
            .map(|book| book.tally.flows())
            .unwrap_or_default()
    }

    /// The same, and what comes after that.
    pub fn follow(&self, vm: VmId) -> (Vec<VmFlow>, broadcast::Receiver<News>) {
        let mut books = self.books();
        let book = books.of.entry(vm).or_default();
        let followers = book
            .followers
            .get_or_insert_with(|| broadcast::Sender::new(WAITING));
        (book.tally.flows(), followers.subscribe())
    }

    /// Takes note of what a VM asked the resolver.
    pub(crate) fn asked(&self, slot: Slot, asked: &Asked) {
        let (why, refused) = match &asked.verdict {
            Verdict::Refused(Refusal::Off) => (FlowRule::Off, true),
            Verdict::Refused(Refusal::Unlisted) => (FlowRule::Unlisted, true),
            Verdict::Refused(Refusal::Peer) => (FlowRule::Peer, true),
            // All that the name leads to is inside.
            Verdict::Answered {
                addresses, withheld, ..
            } => (FlowRule::Private, addresses.is_empty() && !withheld.is_empty()),
            Verdict::Failed(_) => return,
        };
        let mut books = self.books();
        let Some(book) = books.of_slot(slot) else { return };
        let name = asked.name.parse::<DomainName>().ok();
        if let (Verdict::Answered { addresses, .. }, Some(name)) = (&asked.verdict, &name) {
            book.told.note(&Arc::new(name.clone()), addresses, Instant::now());
        }
        if refused {
            book.count(VmFlow {
                target: asked.name.clone(),
                protocol: "dns".to_owned(),
                allow: name.and_then(|name| rule_for_name(why, name)),
                ..uncounted(FlowVerdict::Denied, why)
            });
        }
    }

    /// Those of these answers, by the port of the rule that each has now, whose names other rules of the VM are still about.
    pub(crate) fn still_named(&self, slot: Slot, alive: &[Answer], policy: &Policy) -> Vec<Answer> {
        let mut books = self.books();
        let Some(book) = books.of_slot(slot) else {
            return Vec::new();
        };
        let told = &book.told;
        let named = |answer: &Answer| {
            let names: Vec<_> = told.all(answer.address).collect();
            let is_about = |rule: &&Allow| names.iter().any(|name| rule.is_for_name(name));
            let ports: BTreeSet<_> = policy.allow.iter().filter(is_about).map(Allow::port).collect();
            ports
                .into_iter()
                .map(|port| Answer { port, ..*answer })
                .collect::<Vec<_>>()
        };
        alive.iter().flat_map(named).collect()
    }

    /// What is to be learnt from a flow; `peer` is the VM that has its destination's address.
    pub(crate) fn learnt(&self, flow: &Flow, peer: Option<&VmName>) -> Option<Learnt> {
        let books = self.books();
        let vm = *books.slots.get(&flow.slot?)?;
        let book = books.of.get(&vm)?;
        // The packet filter may be ahead of what is known here of the mode.
        let learns = flow.rule == FlowRule::Learn || book.policy.mode == NetMode::Learn;
        if !flow.allowed || !learns {
            return None;
        }
        let (names, recent) = book.names(flow);
        let names = &names[..recent];
        let rules = Seen { flow, peer, names }.enough();
        (!rules.is_empty()).then_some(Learnt { vm, rules })
    }

    /// Takes note of a flow; `peer` is the VM that has its destination's address.
    pub(crate) fn seen(&self, flow: &Flow, peer: Option<&VmName>) {
        let mut books = self.books();
        let Some(book) = flow.slot.and_then(|slot| books.of_slot(slot)) else {
            return;
        };
        let (names, _) = book.names(flow);
        let names = &*names;
        let seen = Seen { flow, peer, names };
        let verdict = match flow.allowed {
            true => FlowVerdict::Allowed,
            false => FlowVerdict::Denied,
        };
        let counted = VmFlow {
            target: seen.target(&book.policy).to_string(),
            address: flow.destination,
            port: flow.port,
            protocol: flow.protocol_name(),
            rule: seen.rule(&book.policy),
            allow: seen.enough().into_iter().next().filter(|_| !flow.allowed),
            ..uncounted(verdict, flow.rule)
        };
        book.count(counted);
    }

    /// Flows may have gone untold.
    pub(crate) fn gap(&self) {
        for book in self.books().of.values_mut() {
            book.tell(News::Gap);
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn of_slot(&mut self, slot: Slot) -> Option<&mut Book> {
        self.of.get_mut(self.slots.get(&slot)?)
    }
}

impl Book {
    /// The names that a flow may be for, the latest first, and how many of them were asked for just now.
    fn names(&self, flow: &Flow) -> (Vec<DomainName>, usize) {
        let names = |address| self.told.names(address, Instant::now());
        flow.destination.map(names).unwrap_or_default()
    }

    fn count(&mut self, flow: VmFlow) {
        let counted = self.tally.count(flow, Timestamp::now());
        self.tell(News::Flow(Box::new(counted)));
    }

    fn tell(&mut self, news: News) {
        // Nobody listens any more: the next one starts over.
        if self
            .followers
            .as_ref()
            .is_some_and(|followers| followers.send(news).is_err())
        {
            self.followers = None;
        }
    }
}

/// A flow of which only that is known.
fn uncounted(verdict: FlowVerdict, why: FlowRule) -> VmFlow {
    VmFlow {
        verdict,
        target: String::new(),
        address: None,
        port: None,
        protocol: String::new(),
        why,
        rule: None,
        allow: None,
        count: 0,
        first: String::new(),
        last: String::new(),
    }
}

/// The rule that would let the resolver answer a name.
fn rule_for_name(why: FlowRule, name: DomainName) -> Option<Allow> {
    match why {
        FlowRule::Peer => {
            let vm = name.as_str().strip_suffix(".vm")?;
            vm.parse().ok().map(Allow::Vm)
        }
        FlowRule::Private => None,
        _ => Some(Allow::Name { name, port: None }),
    }
}

#[cfg(test)]
mod tests;
