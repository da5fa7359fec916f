//! How a VM's task ends its machine, and the VM. What is to become of the VM is stored before it is begun.

use std::time::Duration;

use banger_api::ErrorBody;
use banger_model::{Event, Intent, Phase, body, chain};
use banger_vmm::Ended;
use banger_workspace::Records;
use tokio_util::sync::CancellationToken;

use super::super::boot::{Start, console_tail};
use super::super::guard::nothing_is_lost;
use super::super::teardown::{how_it_ended, power_off, remove_traces};
use super::super::{AccessError, EndError, Error, space};
use super::{Command, Driver, millis};

impl Driver {
    /// Stops the VM and starts it. A daemon that dies in between owes the start.
    pub(super) async fn restart(&mut self, grace: Duration, start: &Start) -> Result<(), ErrorBody> {
        let intent = Intent::Restart {
            grace_ms: millis(grace),
        };
        self.intend(Some(intent));
        if let Err(error) = self.stop(grace, false, intent).await {
            self.intend(None);
            return Err(error);
        }
        let started = self.start(start).await;
        if started.is_err() {
            // Whoever waits is told; nothing is owed any more.
            self.intend(None);
        }
        started
    }

    /// Stores what is to become of the VM. That it cannot be stored, as on a full disk, keeps nobody from ending a VM.
    pub(super) fn intend(&self, intent: Option<Intent>) {
        let id = self.state.borrow().spec.id;
        if let Err(error) = self.context.database.intend(id, intent) {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not store the intent for a VM");
        }
    }

    /// Its machine stands still, or goes on.
    pub(super) fn stalled(&mut self, stalled: bool) {
        let event = if stalled { Event::Pause } else { Event::Resume };
        // What is being ended needs no more.
        if self.apply(event).is_ok() {
            tracing::warn!(vm = %self.name(), stalled, why = space::WHY, "a VM was paused or resumed");
        }
    }

    /// Ends the machine, if there is one; `now` skips asking. `intent` is what a daemon that dies meanwhile owes.
    pub(super) async fn stop(&mut self, grace: Duration, now: bool, intent: Intent) -> Result<(), ErrorBody> {
        let phase = self.state.borrow().phase;
        if !phase.may_have_machine() {
            // Stopping what is stopped is what was wanted. What remains of a failure is kept for `vm show`.
            return Ok(());
        }
        if phase == Phase::Paused && !now {
            // A guest that stands still can write nothing: to end it is to lose that.
            return Err(body(&AccessError::Paused {
                name: self.name(),
                why: space::WHY,
            }));
        }
        self.intend(Some(intent));
        self.apply(Event::Stop).map_err(|error| body(&error))?;
        self.deafen();
        let machine = self.machine();
        let mut cut = None;
        if let Some(machine) = machine {
            let hurry = CancellationToken::new();
            if now {
                hurry.cancel();
            }
            let work = power_off(&machine, grace, &hurry);
            let off = self.attend(work, &hurry, Command::ends_a_stop).await;
            for trouble in &off.troubles {
                tracing::warn!(vm = %self.name(), %trouble, "stopping");
            }
            cut = off.cut.then(|| EndError::Cut {
                name: self.row().spec.name,
                why: off.troubles.into_iter().next().unwrap_or_default(),
            });
        }
        self.close_forwards().await;
        // A restart and a delete are not done with that.
        let settles = matches!(intent, Intent::Stop { .. } | Intent::Kill);
        self.gone(None, settles).await.map_err(|error| body(&error))?;
        match cut {
            Some(error) => Err(body(&error)),
            None => Ok(()),
        }
    }

    /// The machine ended without being asked to.
    pub(super) async fn exited(&mut self, ended: &Ended) {
        let error = match ended {
            Ended::Clean | Ended::Killed => None,
            Ended::Panicked(_) | Ended::Failed { .. } => Some(body(&EndError::Died {
                name: self.name(),
                how: how_it_ended(ended),
                console: console_tail(&self.dir()),
            })),
        };
        tracing::info!(vm = %self.name(), how = how_it_ended(ended), "a VM ended");
        self.deafen();
        let machine = self.machine();
        // A dead machine has companions and sockets yet.
        if let Some(machine) = machine
            && let Err(error) = machine.kill().await
        {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clean up after the VM ended");
        }
        self.close_forwards().await;
        if let Err(error) = self.gone(error, true).await {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clean up after the VM ended");
        }
    }

    /// Removes what is left of a machine that is gone. What was to become of the VM is done with that if it `settles`.
    pub(super) async fn gone(&mut self, error: Option<ErrorBody>, settles: bool) -> Result<(), Error> {
        let removed = remove_traces(&self.context, self.row().spec.id, &self.dir()).await;
        if removed.is_ok() && settles {
            self.intend(None);
        }
        self.publish(|state| state.live = None);
        self.fail_with(error);
        let _ = self.apply(Event::Exited);
        removed
    }

    pub(super) async fn delete(&mut self, force: bool) -> Result<(), ErrorBody> {
        let id = self.row().spec.id;
        let phase = self.state.borrow().phase;
        if !force && phase.may_have_machine() {
            return Err(body(&EndError::StillRuns {
                name: self.name(),
                phase,
            }));
        }
        if !force {
            nothing_is_lost(&self.name(), &Records::of(self.files.dir()))
                .await
                .map_err(|error| body(&error))?;
        }
        // Before anything is removed: a disk that somebody else's machine has stays, and so does the VM.
        if self.state.borrow().live.is_none()
            && let Err(error @ Error::DiskInUse(_)) = self.files.lock_soon().await
        {
            return Err(body(&error));
        }
        self.intend(Some(Intent::Delete));
        // What cannot be cleared up is the next daemon's; the VM goes all the same.
        if let Err(error) = self.stop(Duration::ZERO, true, Intent::Delete).await {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clean up before a delete");
        }
        if let Err(error) = remove_traces(&self.context, id, &self.dir()).await {
            tracing::warn!(vm = %self.name(), error = %chain(&error), "could not clean up before a delete");
        }
        // The record goes last, so that a daemon that dies here finds it and tries again.
        self.files.remove_soon().await.map_err(|error| body(&error))?;
        // Here and not where it was asked for: a caller that leaves leaves nothing of it.
        let (context, name) = (&self.context, self.name());
        let deleted = context.registry.remove(&name, || context.database.delete_vm(id));
        context.network.egress().forget(id);
        deleted.map_err(|error| body(&error))?;
        context.registry.enforce_dependents(&name);
        self.context.tell_ssh().await;
        Ok(())
    }
}
