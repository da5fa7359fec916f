//! What listens in a guest, what is forwarded to it, and what it reached.

use banger_api::{ErrorBody, ForwardAdd, VmForward, VmLearned, VmPort};
use banger_forward as forward;
use banger_model::{Described, body};
use banger_netplan::daemon::fewest;

use super::of_guest;
use crate::vm::{self, Vms};

impl Vms {
    /// What listens in a guest.
    pub async fn ports(&self, name: &str) -> Result<Vec<VmPort>, ErrorBody> {
        let (handle, guest) = self.running(name)?;
        let listeners = guest.ports(true).await.map_err(of_guest(&handle))?;
        Ok(forward::ports(listeners, &handle.state().forwards()))
    }

    /// Adds a forward to a VM; gives it with the port that was found for it.
    pub async fn add_forward(&self, name: &str, add: ForwardAdd) -> Result<VmForward, ErrorBody> {
        let handle = self.find(name).described()?;
        let forward = handle.add_forward(add).await?;
        let state = handle.state();
        let added = state
            .forwards()
            .into_iter()
            .find(|entry| entry.forward == forward);
        added.ok_or_else(|| body(&vm::Error::Gone(state.spec.name)))
    }

    /// What a VM reached in mode `learn`, as the fewest rules that allow it.
    pub fn learned(&self, name: &str) -> Result<VmLearned, vm::Error> {
        let spec = self.find(name)?.state().spec;
        let learned = self.context().database.learned(spec.id);
        let (rules, complete) = learned.map_err(|source| vm::Error::Database {
            name: spec.name.clone(),
            source,
        })?;
        Ok(VmLearned {
            rules: fewest(rules),
            complete,
            mode: spec.net.mode,
        })
    }
}
