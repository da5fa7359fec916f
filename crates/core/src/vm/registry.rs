//! Which VMs there are: their handles, by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{PoisonError, RwLock};

use banger_model::network::Allow;
use banger_model::{VmId, VmName};

use super::driver::Command;
use super::{Error, Handle};

/// Every VM of this daemon.
#[derive(Debug, Default)]
pub struct Registry(RwLock<BTreeMap<VmName, Handle>>);

impl Registry {
    /// Every VM, by name.
    pub(crate) fn list(&self) -> Vec<Handle> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// The VM of this name.
    pub(crate) fn find(&self, name: &str) -> Result<Handle, Error> {
        let vms = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = name
            .parse::<VmName>()
            .ok()
            .and_then(|name| vms.get(&name).cloned());
        found.ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
            near: banger_request::nearest(name, vms.keys().map(VmName::as_str)).map(str::to_owned),
        })
    }

    /// Adds the VM that `make` makes, unless the name is taken.
    pub(super) fn add(&self, name: VmName, make: impl FnOnce() -> Handle) -> Option<Handle> {
        let mut vms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match vms.entry(name) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => Some(free.insert(make()).clone()),
        }
    }

    /// Forgets a VM, whose record goes within `forget`; the VM is known again when that fails. Whoever has a record is known or about
    /// to be, and never the other way around: a VM that is known without a record would keep its name from one that is made
    /// meanwhile, which then had a record and nobody who knows it.
    pub(super) fn remove<E>(&self, name: &VmName, forget: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let known = self
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let forgotten = forget();
        if forgotten.is_err()
            && let Some(handle) = known
        {
            // Nobody else has the name: the record is there.
            self.add(name.clone(), || handle);
        }
        forgotten
    }

    /// Gives a VM another name, within `store`, which stores and publishes it: nobody sees one name without the other. `Ok(false)`
    /// when the name is taken, here or by what `store` finds.
    pub(super) fn rename<E>(
        &self,
        old: &VmName,
        new: &VmName,
        store: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut vms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if vms.contains_key(new) || !store()? {
            return Ok(false);
        }
        if let Some(handle) = vms.remove(old) {
            vms.insert(new.clone(), handle);
        }
        Ok(true)
    }

    /// The VM of this id, whatever its name is by now.
    pub(super) fn by_id(&self, id: VmId) -> Option<Handle> {
        self.list()
            .into_iter()
            .find(|handle| handle.state.borrow().spec.id == id)
    }

    /// The VMs whose network rules name this VM.
    pub(super) fn naming(&self, name: &VmName) -> Vec<VmName> {
        let states = self.list().into_iter().map(|handle| handle.state());
        let names = |allow: &[Allow]| {
            allow
                .iter()
                .any(|rule| matches!(rule, Allow::Vm(vm) if vm == name))
        };
        states
            .filter(|state| names(&state.spec.net.allow))
            .map(|state| state.spec.name)
            .collect()
    }

    /// Applies the network rules of running VMs that name this VM again: the VM got an address, or lost it.
    pub(super) fn enforce_dependents(&self, name: &VmName) {
        for handle in self.list() {
            let depends = {
                let state = handle.state.borrow();
                let mut allow = state.spec.net.allow.iter();
                state.live.is_some() && allow.any(|rule| matches!(rule, Allow::Vm(vm) if vm == name))
            };
            if !depends {
                continue;
            }
            // The caller may be a VM's task, and the queue of another may be full: no task waits for another one's queue.
            tokio::spawn(async move {
                // A VM that is being deleted needs no rules.
                let _ = handle.commands.send(Command::Enforce.into()).await;
            });
        }
    }
}
