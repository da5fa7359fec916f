//! Attaching, detaching, and changing what a VM may reach.

use std::collections::BTreeSet;

use banger_model::network::filter::{self, Element};
use banger_model::network::{Mac, Member, Rules, Slot, Step, bridge_name, tap_name};

use super::{Helper, Refusal, chain, with_left};
use crate::kernel::HostError;
use crate::wire::{Attach, Attached};

impl Helper {
    pub(super) fn attach(&mut self, Attach { slot, mac, rules }: Attach) -> Result<Attached, Refusal> {
        self.check(slot, mac, &rules)?;
        let old = self.plan.members.get(&slot).cloned();
        let generation = match &old {
            Some(old) if old.rules != rules => old.generation.wrapping_add(1),
            Some(old) => old.generation,
            None => 1,
        };
        let new = Member {
            mac,
            rules,
            generation,
        };
        let had = self.elements(slot, old.as_ref())?;
        self.store.save_member(slot, &new)?;
        self.plan.members.insert(slot, new.clone());
        let done = self.place(slot, &new, old.is_some(), &had);
        done.map_err(|cause| {
            let left = self.put_back(slot, old);
            with_left(cause.into(), left)
        })
    }

    pub(super) fn policy(&mut self, slot: Slot, rules: Rules) -> Result<(), Refusal> {
        let mac = self
            .plan
            .members
            .get(&slot)
            .ok_or(Refusal::NotAttached(slot))?
            .mac;
        self.attach(Attach { slot, mac, rules }).map(drop)
    }

    /// Removes all of a VM, whatever of it cannot be removed; its record stays until all is gone.
    pub(super) fn detach(&mut self, slot: Slot) -> Result<(), Refusal> {
        let Some(member) = self.plan.members.get(&slot).cloned() else {
            return Ok(());
        };
        let had = self.elements(slot, Some(&member))?;
        self.plan.members.remove(&slot);
        self.answers.remove(&slot);
        let mut left: Vec<String> = self.vacate(slot);
        left.extend(
            self.change_filter(&had, &BTreeSet::new())
                .err()
                .map(|error| chain(&error)),
        );
        if left.is_empty() {
            return Ok(self.store.forget_member(slot)?);
        }
        self.plan.members.insert(slot, member);
        Err(Refusal::Left {
            cause: format!("slot {slot} could not be detached"),
            left,
        })
    }

    fn check(&self, slot: Slot, mac: Mac, rules: &Rules) -> Result<(), Refusal> {
        let capacity = self.network()?.subnet.capacity();
        if let Some(&slot) = rules.peers.iter().chain([&slot]).find(|slot| slot.0 >= capacity) {
            return Err(Refusal::Slot { slot, capacity });
        }
        rules
            .validate()
            .map_err(|source| Refusal::Rules { slot, source })?;
        let other = self
            .plan
            .members
            .iter()
            .find(|(at, other)| **at != slot && other.mac == mac);
        other.map_or(Ok(()), |(&slot, _)| Err(Refusal::MacTaken { mac, slot }))
    }

    fn elements(&self, slot: Slot, member: Option<&Member>) -> Result<BTreeSet<Element>, Refusal> {
        let network = self.network()?;
        Ok(member
            .map(|member| filter::elements(self.owner, network, slot, member))
            .unwrap_or_default())
    }

    /// Filter, TAP and neighbours of a member, in the order in which nothing is open before it is guarded.
    fn place(
        &mut self,
        slot: Slot,
        new: &Member,
        was_there: bool,
        had: &BTreeSet<Element>,
    ) -> Result<Attached, Refusal> {
        let wanted = self.elements(slot, Some(new))?;
        self.change_filter(had, &wanted)?;
        let network = self.network()?.clone();
        let (tap, bridge) = (tap_name(self.owner, slot), bridge_name(self.owner));
        let there = was_there && self.host.observe()?.link(&tap).is_some();
        let warm = !there && self.take_spare(&tap);
        if !there && !warm {
            self.host.apply(&Step::Tap {
                name: tap.clone(),
                owner: self.owner,
            })?;
            self.host.apply(&Step::Port {
                tap: tap.clone(),
                bridge: bridge.clone(),
                mtu: network.mtu,
            })?;
        }
        self.host.apply(&Step::Up { name: tap.clone() })?;
        for address in network.addresses(slot) {
            self.host.apply(&Step::Neighbour {
                bridge: bridge.clone(),
                address,
                mac: new.mac,
            })?;
        }
        Ok(Attached { tap, warm })
    }

    /// Gives a waiting TAP this name. One that is gone, or is refused it, is no loss: a fresh one is made.
    fn take_spare(&mut self, tap: &str) -> bool {
        while let Some(from) = self.spares.pop() {
            if self
                .host
                .apply(&Step::Rename {
                    from,
                    to: tap.to_owned(),
                })
                .is_ok()
            {
                return true;
            }
        }
        false
    }

    /// One transaction of what differs. A filter that is not as the plan says (someone flushed it) is loaded whole.
    pub(super) fn change_filter(
        &self,
        from: &BTreeSet<Element>,
        to: &BTreeSet<Element>,
    ) -> Result<(), HostError> {
        let script = filter::change(self.owner, from, to);
        self.load(Step::Filter {
            what: "change the packet filter",
            script,
        })
    }

    /// Applies a change of the filter, or else all of it.
    pub(super) fn load(&self, change: Step) -> Result<(), HostError> {
        self.host.apply(&change).or_else(|_| {
            self.host.apply(&Step::Filter {
                what: "load the packet filter",
                script: self.whole_filter(),
            })
        })
    }

    /// Removes a VM's TAP and neighbours. Gives what could not be removed.
    fn vacate(&self, slot: Slot) -> Vec<String> {
        let bridge = bridge_name(self.owner);
        let addresses = self
            .network()
            .map(|network| network.addresses(slot).collect())
            .unwrap_or(Vec::new());
        let tap = Step::NoLink {
            name: tap_name(self.owner, slot),
        };
        let forget = |address| Step::NoNeighbour {
            bridge: bridge.clone(),
            address,
        };
        let steps = [tap].into_iter().chain(addresses.into_iter().map(forget));
        steps
            .filter_map(|step| self.host.apply(&step).err())
            .map(|error| chain(&error))
            .collect()
    }

    /// After an attach that failed: what was there before it. Gives what could not be put back.
    fn put_back(&mut self, slot: Slot, old: Option<Member>) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(old) = &old {
            left.extend(self.store.save_member(slot, old).err().map(|error| chain(&error)));
            self.plan.members.insert(slot, old.clone());
        } else {
            self.plan.members.remove(&slot);
            left.extend(self.vacate(slot));
        }
        left.extend(self.rebuild().err().map(|error| chain(&error)));
        if old.is_none() && left.is_empty() {
            left.extend(self.store.forget_member(slot).err().map(|error| chain(&error)));
        }
        left
    }
}
