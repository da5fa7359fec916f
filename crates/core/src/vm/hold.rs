//! VMs that go with the command that they were made for (`vm run --rm`).
//!
//! That they go is the daemon's promise: the record says so, the command holds the VM by a connection, and when that ends, however
//! the command ended, the VM is removed, after its work was brought back if the configuration says so. Commands outlive a daemon: they hold
//! their VMs again at the next one, which removes those that nobody comes to hold.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banger_model::{VmId, VmName, chain};

use super::driver::Command;
use super::{Error, Handle, Vms};

/// How long a VM that was just made, or that a new daemon found, waits for its command to hold it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The VMs that were held, at this time or before.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<BTreeSet<VmId>>);

impl Holds {
    fn add(&self, id: VmId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn had(&self, id: VmId) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&id)
    }
}

/// A VM that is removed when this is dropped.
#[derive(Debug)]
pub struct Held {
    vms: Arc<Vms>,
    id: VmId,
}

impl Vms {
    /// Holds a VM that goes with its command. Nothing for a VM that stays.
    pub fn hold(self: &Arc<Self>, name: &str) -> Result<Option<Held>, Error> {
        let state = self.find(name)?.state();
        self.holds.add(state.spec.id);
        Ok(state.removes_on_exit.then(|| Held {
            vms: Arc::clone(self),
            id: state.spec.id,
        }))
    }

    /// Pulls the work of a VM that is not on the host, where the configuration says so: a command that was killed could not do
    /// it before its VM goes. Returns whether nothing is lost when the VM goes now.
    async fn bring_back_unattended(&self, name: &VmName, handle: &Handle) -> bool {
        let context = &self.context;
        if !context.exports_unattended() {
            return true;
        }
        let unsaved = handle.unsaved(context).await;
        let work = handle.pull_all(context, unsaved).await;
        for pulled in &work.pulled {
            tracing::info!(vm = %name, path = pulled.guest_path, "pulled the work");
        }
        for left in &work.left {
            let (error, left) = (
                left.failure.as_ref().map(|failure| chain(failure)),
                &left.workspace,
            );
            tracing::error!(vm = %name, path = left.guest_path, what = left.what, error, "could not pull the work");
        }
        work.left.is_empty()
    }

    /// Lets go of the VMs whose commands ended with an earlier daemon.
    pub(super) fn let_go(self: &Arc<Self>, names: Vec<VmName>) {
        for name in names {
            // One that is not there is gone.
            drop(self.hold(name.as_str()));
        }
    }

    /// Removes a VM that nobody comes to hold: its command ended before it could.
    pub(super) fn expect_hold(self: &Arc<Self>, id: VmId) {
        let vms = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if !vms.holds.had(id) {
                drop(Held { vms, id });
            }
        });
    }
}

/// What is shown of a VM that outlives its command.
fn kept(name: &VmName, runs: bool) -> String {
    let start = match runs {
        true => String::new(),
        // Only a guest that runs can send it.
        false => format!("banger vm start {name} && "),
    };
    format!(
        "its command has ended, but the VM was kept because its work could not be pulled: `{start}banger vm workspace pull {name}` \
         pulls the work, `banger vm delete -f {name}` discards it"
    )
}

impl Drop for Held {
    fn drop(&mut self) {
        let vms = Arc::clone(&self.vms);
        // The command may have removed it itself, another may have its name, and it may have another name by now.
        let found = vms.context.registry.by_id(self.id);
        let Some(handle) = found.filter(|handle| handle.state().removes_on_exit) else {
            return;
        };
        let name = handle.state().spec.name;
        tokio::spawn(async move {
            tracing::info!(vm = %name, "its command has ended; removing the VM");
            if !vms.bring_back_unattended(&name, &handle).await {
                // Nobody is there to be asked. The next daemon tries again, and `vm delete -f` loses the work.
                let notice = kept(&name, handle.live().is_ok());
                let _ = handle.commands.send(Command::Notice(notice).into()).await;
                tracing::error!(vm = %name, "the VM was kept: its work was not pulled to the host");
                return;
            }
            if let Err(error) = handle.delete(true).await
                && !handle.is_gone()
            {
                tracing::error!(vm = %name, error = %chain(&error), "could not remove a VM whose command ended");
            }
        });
    }
}
