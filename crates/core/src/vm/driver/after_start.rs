//! What a VM needs after each start, whoever asked for it: `create`, `start`, `restart`, `commit`, or a daemon that finishes what an
//! earlier one began.

use std::collections::BTreeSet;
use std::time::Duration;

use banger_model::chain;
use banger_workspace::{self as workspace, Records, Target};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::boot::Start;
use super::super::{Carried, Error};
use super::{Command, Driver};

/// What a guest may take to protect its read-only workspaces. Meanwhile the VM's task does nothing else but end the VM.
const PATIENCE: Duration = Duration::from_secs(30);

impl Driver {
    /// Completes a start: rules that name the VM get its address, read-only workspaces are made so again, and the caller learns which
    /// secrets the VM lost. A command that ends the VM cuts this short. Nothing of it fails the start: the guest is ready.
    pub(super) async fn after_start(&mut self, start: &Start) {
        self.context.registry.enforce_dependents(&self.name());
        let live = self.state.borrow().live.clone();
        let Some(live) = live else { return };
        let records = Records::of(self.files.dir());
        let ended = CancellationToken::new();
        let restore = {
            let ended = ended.clone();
            async move {
                // Who may write is root's to say, whosever the workspaces are.
                let target = Target::new(live.guest(), "");
                let restored = timeout(PATIENCE, workspace::started(&target, &records));
                tokio::select! {
                    () = ended.cancelled() => Ok(()),
                    restored = restored => match restored {
                        Ok(restored) => restored.map_err(|error| chain(&error)),
                        Err(_) => Err(format!("the guest did not answer within {} s", PATIENCE.as_secs())),
                    },
                }
            }
        };
        if let Err(error) = self.attend(restore, &ended, Command::ends_a_start).await {
            tracing::warn!(vm = %self.name(), error, "a workspace is not read-only");
            start
                .progress
                .note(format!("a workspace is not read-only: {error}"));
        }
        if let Some(given) = &start.given {
            self.report_lost_secrets(start, given);
        }
    }

    /// Ends the VM's creation: it has all that its request wanted in it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let spec = self.row().spec;
        let stored = self.context.database.finish_vm(spec.id);
        stored.map_err(|source| Error::Database {
            name: spec.name,
            source,
        })?;
        self.publish(|state| state.unfinished = false);
        Ok(())
    }

    /// Notes the secrets that the last run of the VM had and that its caller does not give it again.
    fn report_lost_secrets(&self, start: &Start, given: &[String]) {
        let mut lost: BTreeSet<String> = Carried::of(self.files.dir()).take_secrets();
        lost.retain(|name| !given.contains(name));
        if lost.is_empty() {
            return;
        }
        let vm = self.name();
        let names: Vec<String> = lost.iter().cloned().collect();
        let options: Vec<String> = lost.iter().map(|name| format!("--secret {name}")).collect();
        start.progress.note(format!(
            "secrets are lost when the guest stops; provide {} again: `banger vm exec {} {vm} -- true`",
            names.join(", "),
            options.join(" ")
        ));
    }
}
