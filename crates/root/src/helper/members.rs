//! Attaching, detaching, and changing what a VM may reach.

use std::collections::BTreeSet;
use std::time::{Instant, UNIX_EPOCH};

use banger_model::network::{Mac, Slot, tap_name};
use banger_netplan::{Member, Rules, filter};

use super::{Helper, Left, Refusal};
use crate::converge;
use crate::host::Step;
use crate::kernel::HostError;
use crate::plan::member_name;
use crate::wire::{Attach, Attached};

impl Helper {
    pub(super) fn attach(&mut self, Attach { slot, mac, rules }: Attach) -> Result<Attached, Refusal> {
        self.be_there()?;
        let fresh = !self.plan.members.contains_key(&slot);
        self.admit(slot, mac, rules, |helper, new| helper.place(slot, new, fresh))
    }

    pub(super) fn policy(&mut self, slot: Slot, rules: Rules) -> Result<(), Refusal> {
        let member = self.plan.members.get(&slot);
        let mac = member.ok_or(Refusal::NotAttached(slot))?.mac;
        self.admit(slot, mac, rules, |_, _| Ok(()))?;
        // Names were answered by the rules before; which of them are still meant, the owner says again.
        let answers = self.known.answers.remove(&slot).unwrap_or_default();
        let alive = answers.alive(Instant::now());
        let script = filter::answers(self.owner, self.network()?, slot, &alive, &filter::FORGET);
        Ok(self.load("remove the addresses that names resolved to", script)?)
    }

    /// Lets the filter have a VM, and then what it is attached by: nothing is open before it is guarded.
    fn admit<T>(
        &mut self,
        slot: Slot,
        mac: Mac,
        rules: Rules,
        place: impl FnOnce(&mut Self, &Member) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.check(slot, mac, &rules)?;
        self.afford(slot, &rules)?;
        let old = self.plan.members.get(&slot).cloned();
        // Connections of an earlier VM of this slot bear some other number.
        let first = UNIX_EPOCH.elapsed().map_or(1, |now| now.as_secs() as u16);
        let new = Member::after(old.as_ref(), mac, rules, first);
        self.store.write(&member_name(slot), &new, false)?;
        self.plan.members.insert(slot, new.clone());
        let changed = self.refilter(slot, old.as_ref(), Some(&new));
        let placed = changed.map_err(Refusal::from).and_then(|()| place(self, &new));
        placed.map_err(|cause| self.put_back(slot, old, cause))
    }

    /// Removes all of a VM, whatever of it cannot be removed; its record stays until all is gone.
    pub(super) fn detach(&mut self, slot: Slot) -> Result<(), Refusal> {
        let Some(member) = self.plan.members.remove(&slot) else {
            return Ok(());
        };
        self.known.answers.remove(&slot);
        let mut left = self.vacate(slot);
        left.note(self.refilter(slot, Some(&member), None));
        if !left.is_empty() {
            self.plan.members.insert(slot, member);
            return left.done(&format!("slot {slot} could not be detached"));
        }
        Ok(self.store.forget(&member_name(slot))?)
    }

    fn check(&self, slot: Slot, mac: Mac, rules: &Rules) -> Result<(), Refusal> {
        let capacity = self.network()?.subnet.capacity();
        if let Some(&slot) = rules.peers.iter().chain([&slot]).find(|slot| slot.0 >= capacity) {
            return Err(Refusal::Slot(slot, capacity));
        }
        rules.validate().map_err(|why| Refusal::Rules(slot, why))?;
        let mut others = self.plan.members.iter().filter(|(at, _)| **at != slot);
        match others.find(|(_, other)| other.mac == mac) {
            Some((&other, _)) => Err(Refusal::MacTaken(mac, other)),
            None => Ok(()),
        }
    }

    /// TAP and neighbours of a member. A slot that had no VM has no TAP.
    fn place(&mut self, slot: Slot, new: &Member, fresh: bool) -> Result<Attached, Refusal> {
        let observed = (!fresh).then(|| self.host.observe());
        let observed = observed.transpose()?.unwrap_or_default();
        let tap = tap_name(self.owner, slot);
        let is_new = observed.link(&tap).is_none();
        let mut steps = self.site(observed).attach(self.network()?, slot, new);
        let warm = is_new && self.take_spare(&tap);
        if warm {
            steps.retain(|step| !matches!(step, Step::Tap { .. } | Step::Port { .. }));
        }
        steps.iter().try_for_each(|step| self.host.apply(step))?;
        Ok(Attached { tap, warm })
    }

    /// Gives a waiting TAP this name. One that is gone, or is refused it, is no loss: a fresh one is made.
    fn take_spare(&mut self, tap: &str) -> bool {
        let to = tap.to_owned();
        std::iter::from_fn(|| self.known.spares.pop())
            .map(|from| Step::Rename { from, to: to.clone() })
            .any(|rename| self.host.apply(&rename).is_ok())
    }

    /// One transaction of what differs. A filter that is not as the plan says (someone flushed it) is loaded whole.
    fn refilter(&mut self, slot: Slot, from: Option<&Member>, to: Option<&Member>) -> Result<(), HostError> {
        let refused = self.plan.around.refused();
        let of = |member: Option<&Member>| match (member, self.plan.network()) {
            (Some(member), Some(network)) => filter::elements(self.owner, network, slot, member, &refused),
            _ => BTreeSet::new(),
        };
        let script = filter::change(self.owner, &of(from), &of(to));
        self.load("change the packet filter", script)
    }

    /// Applies a change of the filter, or else all of it.
    pub(super) fn load(&mut self, what: &'static str, script: String) -> Result<(), HostError> {
        self.host.apply(&Step::Filter { what, script }).or_else(|_| {
            let (what, script) = ("load the packet filter", self.whole_filter());
            self.host.apply(&Step::Filter { what, script })?;
            self.learn_chains();
            Ok(())
        })
    }

    /// Removes a VM's TAP and neighbours. Gives what could not be removed.
    fn vacate(&self, slot: Slot) -> Left {
        let mut left = Left::default();
        let network = self.plan.network();
        let steps = network.map(|network| converge::detach(self.owner, network, slot));
        for step in steps.iter().flatten() {
            left.note(self.host.apply(step));
        }
        left
    }

    /// After an attach that failed: what was there before it.
    fn put_back(&mut self, slot: Slot, old: Option<Member>, cause: Refusal) -> Refusal {
        let mut left = Left::default();
        let fresh = old.is_none();
        if let Some(old) = old {
            left.note(self.store.write(&member_name(slot), &old, false));
            self.plan.members.insert(slot, old);
        } else {
            self.plan.members.remove(&slot);
            left = self.vacate(slot);
        }
        left.note(self.rebuild());
        if fresh && left.is_empty() {
            left.note(self.store.forget(&member_name(slot)));
        }
        left.after(cause)
    }
}
