//! Which addresses the owner's network has: those that it asks for, in the room that root gave, while nobody else uses them.
//!
//! That is looked at before they are taken, at each attach and rebuild, and whenever the host's routes, links or resolvers
//! change. Where someone else has them, they are *withdrawn*: the bridge has no address and is down, so nothing of the host's
//! goes to a VM, and VMs reach nothing. They come back when the conflict is gone.

use std::collections::BTreeMap;
use std::fs::File;

use banger_model::network::{Network, Room, Ula, bridge_name};
use banger_netplan::{Conflict, Prepared, Use, conflict};
use rustix::fs::{FlockOperation, flock};

use super::{Helper, Left, Refusal};
use crate::kernel::{HostError, Look};
use crate::plan::NETWORK;
use crate::wire::Range;

/// What root decided.
#[derive(Debug)]
pub struct Addresses {
    /// Of which addresses a network may be; of any private ones if none, as in a network namespace of one's own.
    pub room: Option<Room>,
    /// The network of IPv6 that follows from this host and the owner.
    pub ula: Ula,
    /// Held while addresses are looked at and taken, so that no two owners take the same ones.
    pub lock: Option<File>,
}

impl Helper {
    pub(super) fn prepare(&mut self, network: Network) -> Result<(), Refusal> {
        network.validate()?;
        let moves = |old: &Network| (old.subnet, old.ula) != (network.subnet, network.ula);
        let moves = self.plan.network().is_none_or(moves);
        if moves && !self.plan.members.is_empty() {
            return Err(Refusal::InUse);
        }
        if let Some(why) = self.conflict(&network, !moves && self.plan.withdrawn.is_none())? {
            return Err(Refusal::Conflict(why));
        }
        let before = self.settings_changed()?;
        if moves {
            self.known.dns.clear();
        }
        let new = Prepared { network, before };
        self.store.write(NETWORK, &new, true)?;
        let old = self.plan.prepared.replace(new);
        let Err(cause) = self.rebuild() else {
            return Ok(());
        };
        let mut left = Left::default();
        if let Some(old) = old {
            left.note(self.store.write(NETWORK, &old, true));
            self.plan.prepared = Some(old);
            left.note(self.rebuild());
        } else {
            left.note(self.teardown());
        }
        Err(left.after(cause))
    }

    /// What the owner may choose from.
    pub(super) fn range(&self) -> Result<Range, Refusal> {
        Ok(Range {
            room: self.addresses.room,
            ula: self.addresses.ula,
            used: self.uses(false)?,
        })
    }

    /// Withdraws the addresses if someone else has them by now, and takes them again if nobody has.
    ///
    /// # Errors
    /// The host cannot be looked at or changed.
    pub fn review(&mut self) -> Result<(), Refusal> {
        let had = self.plan.withdrawn.is_some();
        let now = self.withdrawal()?;
        if now.is_some() == had {
            self.plan.withdrawn = now;
            return Ok(());
        }
        self.alone(Self::rebuild)
    }

    /// That the network has its addresses.
    pub(super) fn be_there(&mut self) -> Result<(), Refusal> {
        self.review()?;
        let why = self.plan.withdrawn.clone();
        why.map_or(Ok(()), |why| Err(Refusal::Conflict(why)))
    }

    /// Looks again, before the host is made what the plan says.
    pub(super) fn look_again(&mut self) -> Result<(), HostError> {
        self.plan.withdrawn = self.withdrawal()?;
        if self.plan.withdrawn.is_some() {
            // They are bound to addresses that are another's.
            self.known.dns.clear();
        }
        Ok(())
    }

    /// Why the network that there is may not have its addresses now.
    fn withdrawal(&self) -> Result<Option<Conflict>, HostError> {
        let has = self.plan.withdrawn.is_none();
        let conflict = |network| self.conflict(network, has);
        self.plan.network().map_or(Ok(None), conflict)
    }

    /// Why the network may not have its addresses. What it `has`, no connection of the host's goes elsewhere for.
    fn conflict(&self, network: &Network, has: bool) -> Result<Option<Conflict>, HostError> {
        let uses = self.uses(has)?;
        Ok(conflict(network, self.addresses.room.as_ref(), &uses))
    }

    /// What the host uses, but by the network that is prepared now: not by one that is only asked for.
    fn uses(&self, has: bool) -> Result<Vec<Use>, HostError> {
        let gateways = self.plan.network().map(Network::gateways);
        let look = match has {
            _ if self.plan.apart => Look::Routes,
            true => Look::Resolvers,
            false => Look::Connections,
        };
        let gateways = gateways.as_ref().map_or(&[][..], |two| &two[..]);
        self.host.uses(&bridge_name(self.owner), gateways, look)
    }

    /// Does something while no other owner's helper takes addresses.
    pub(crate) fn alone<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let lock = |own: &Self, how| {
            let file = own.addresses.lock.as_ref();
            let locked = file.map_or(Ok(()), |file| flock(file, how));
            locked.map_err(|errno| Refusal::Alone(errno.into()))
        };
        lock(self, FlockOperation::LockExclusive)?;
        let done = act(self);
        lock(self, FlockOperation::Unlock)?;
        done
    }

    /// The host's settings that will be changed, as they were before banger came.
    fn settings_changed(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let site = self.site(self.host.observe()?);
        let mut before = self.settings_before();
        for (key, _) in site.settings() {
            if let Some(value) = self.host.setting(&key)? {
                before.entry(key).or_insert(value);
            }
        }
        Ok(before)
    }
}
