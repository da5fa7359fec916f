//! The guard of work that was not brought back, before a VM stops or goes. It holds for every client.

use std::time::Duration;

use banger_api::{ErrorBody, LeftWork, UnsavedWorkspace, VmWork};
use banger_model::{VmName, body};
use banger_request::Reporter;
use banger_workspace::{self as workspace, Records};

use super::{Context, EndError, Handle, Vms};

impl Context {
    /// Whether the configuration says that work is pulled before a VM ends (`auto_export`). Ending a VM needs no configuration: with
    /// one that cannot be read, the caller decides.
    pub(super) fn exports_attended(&self) -> bool {
        self.config().is_ok_and(|config| config.auto_export)
    }
}

/// That a VM that does not run may go: the host has the work of its workspaces.
pub(super) async fn nothing_is_lost(name: &VmName, records: &Records) -> Result<(), EndError> {
    match workspace::unsaved(None, records).await.pop() {
        None => Ok(()),
        Some(work) => Err(EndError::Unsaved {
            name: name.clone(),
            work,
        }),
    }
}

impl Vms {
    /// Powers a VM off; the guest's init gets `grace`. Work is pulled first where the configuration says so; what is not pulled stays
    /// on the VM's disk.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<(Handle, VmWork), ErrorBody> {
        let handle = self.find(name).map_err(|error| body(&error))?;
        let work = self.bring_back(&handle).await;
        handle.stop(grace).await?;
        Ok((handle, work))
    }

    /// Deletes a VM. Without `force`, a VM that runs, and one with work that the host does not have, is kept with
    /// an error. With it, the answer says what was lost.
    pub async fn delete(&self, name: &str, force: bool) -> Result<VmWork, ErrorBody> {
        let handle = self.find(name).map_err(|error| body(&error))?;
        let (name, phase) = (handle.state().spec.name, handle.state().phase);
        if !force && phase.may_have_machine() {
            return Err(body(&EndError::StillRuns { name, phase }));
        }
        // Without force its task looks at what the host does not have: nothing can be added in between.
        let work = match force {
            true => self.bring_back(&handle).await,
            false => VmWork::default(),
        };
        handle.delete(force).await?;
        Ok(work)
    }

    /// Pulls the work of a VM that the host does not have, where the configuration says so.
    async fn bring_back(&self, handle: &Handle) -> VmWork {
        let unsaved = handle.unsaved(&self.context).await;
        // Only a guest that runs can send it.
        if handle.live().is_ok() && self.context.exports_attended() {
            return handle.pull_all(&self.context, unsaved).await;
        }
        VmWork {
            left: unsaved.into_iter().map(LeftWork::from).collect(),
            ..VmWork::default()
        }
    }
}

impl Handle {
    /// Pulls the work of these workspaces. A failure of one keeps none of the others.
    pub(super) async fn pull_all(&self, context: &Context, unsaved: Vec<UnsavedWorkspace>) -> VmWork {
        let mut work = VmWork::default();
        for one in unsaved {
            let pulled = async {
                // What is pulled needs no identity.
                let place = self
                    .place(context, false, Reporter::default())
                    .map_err(|error| body(&error))?;
                let record = workspace::chosen(&place.records, &place.vm, Some(&one.guest_path))
                    .map_err(|error| body(&error))?;
                workspace::pull(&place, record)
                    .await
                    .map_err(|error| body(&error))
            };
            match pulled.await {
                Ok(pulled) => {
                    // What a pull cannot bring stays behind however well it went.
                    let left = pulled.left.clone().map(|what| UnsavedWorkspace {
                        what,
                        known: false,
                        ..one
                    });
                    work.left.extend(left.map(LeftWork::from));
                    work.pulled.push(pulled);
                }
                Err(failure) => work.left.push(LeftWork {
                    workspace: one,
                    failure: Some(failure),
                }),
            }
        }
        work
    }
}
