//! How a VM gets another name. Its id, its files and its workspaces stay.
//!
//! A machine has the name too: its guest's hostname, its resolver's names, the sessions and forwards that go on. Therefore the VM has to
//! be at rest, and everything has the new name from its next start on.

use banger_model::VmName;

use super::super::Error;
use super::super::error::{CreateError, SpecError};
use super::Driver;

impl Driver {
    /// Gives the VM this name, and gives the VMs whose rules name it by the old one. The name that it has is as good as any.
    pub(super) async fn rename(&mut self, new: VmName) -> Result<Vec<VmName>, Error> {
        let (mut spec, phase) = {
            let state = self.state.borrow();
            (state.spec.clone(), state.phase)
        };
        if spec.name == new {
            return Ok(Vec::new());
        }
        if phase.may_have_machine() {
            return Err(SpecError::RenamesAtRest {
                name: spec.name,
                phase,
            }
            .into());
        }
        let old = std::mem::replace(&mut spec.name, new.clone());
        let context = &self.context;
        let stored = context.registry.rename(&old, &new, || {
            let stored = context.database.rename_vm(&spec)?;
            if stored {
                self.publish(|state| state.spec = spec);
            }
            Ok(stored)
        });
        let is_renamed = stored.map_err(|source| Error::Database {
            name: old.clone(),
            source,
        })?;
        if !is_renamed {
            return Err(CreateError::Exists(new).into());
        }
        tracing::info!(vm = %new, %old, "renamed");
        // Rules that name either one mean another VM now, or none.
        context.registry.enforce_dependents(&old);
        context.registry.enforce_dependents(&new);
        context.tell_ssh().await;
        Ok(context.registry.naming(&old))
    }
}
