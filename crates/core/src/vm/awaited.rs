//! Waiting for a VM to be stopped, running, prepared or deleted, whoever does that. The states of its task are watched; nothing is polled.

use banger_api::{Awaited, ErrorBody, VmWaited};
use banger_model::{Phase, body};

use super::{Error, Handle, State, Vms};

impl Vms {
    /// Returns when the VM is as `awaited` says, or cannot become so by itself. A VM that does not exist is deleted.
    pub async fn wait(&self, name: &str, awaited: Awaited) -> Result<VmWaited, ErrorBody> {
        let handle = match (self.find(name), awaited) {
            (Ok(handle), _) => handle,
            (Err(Error::NotFound { .. }), Awaited::Deleted) => return Ok(deleted(name)),
            (Err(error), _) => return Err(body(&error)),
        };
        let reached = match awaited {
            Awaited::Deleted => {
                handle.gone().await;
                None
            }
            Awaited::Stopped => handle.observed(|state| !state.phase.may_have_machine()).await,
            Awaited::Running | Awaited::Prepared => handle.observed(running_or_failed()).await,
        };
        if let Some(state) = reached {
            let bootstrap = match awaited {
                Awaited::Prepared if state.phase == Phase::Running => self.prepared(&handle).await?,
                _ => None,
            };
            return Ok(VmWaited {
                name: state.spec.name.to_string(),
                phase: Some(state.phase),
                last_error: state.last_error,
                bootstrap,
            });
        }
        let spec = handle.state().spec;
        // The tasks of a daemon that ends go as well, and with them what they publish: such a VM is not deleted.
        if self.context.registry.by_id(spec.id).is_some() {
            std::future::pending::<()>().await;
        }
        match awaited {
            Awaited::Running | Awaited::Prepared => Err(body(&Error::Gone(spec.name))),
            Awaited::Stopped | Awaited::Deleted => Ok(deleted(name)),
        }
    }
}

impl Handle {
    /// The first state for which `holds` does; nothing when the VM is deleted before.
    async fn observed(&self, holds: impl FnMut(&State) -> bool) -> Option<State> {
        let mut states = self.state.clone();
        states.wait_for(holds).await.ok().map(|state| state.clone())
    }
}

/// Whether a VM runs, or failed to start since it is watched.
fn running_or_failed() -> impl FnMut(&State) -> bool {
    let (mut was_other, mut starts) = (false, None);
    move |state| {
        // Only the last state is seen of those that follow one another quickly.
        was_other |= state.phase != Phase::Failed || *starts.get_or_insert(state.starts) != state.starts;
        state.phase == Phase::Running || (was_other && state.phase == Phase::Failed)
    }
}

fn deleted(name: &str) -> VmWaited {
    VmWaited {
        name: name.to_owned(),
        phase: None,
        last_error: None,
        bootstrap: None,
    }
}
