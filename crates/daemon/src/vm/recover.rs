//! What a daemon does at its start with what an earlier one left: running machines are adopted, everything that is
//! half made or half removed is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, RwLock};

use banger_guest_api::InitState;
use banger_model::network::Slot;
use banger_model::{Phase, VmId, VmSpec};
use banger_vmm::Machine;

use super::state::Facts;
use super::teardown::remove_traces;
use super::{Context, Live, State, Vms};
use crate::database::{self, MachineRow};
use crate::error::chain;
use crate::network::Way;
use crate::orphans;

impl Vms {
    /// The VMs that the database knows, with their machines.
    pub(crate) async fn recover(context: Arc<Context>) -> Result<Arc<Self>, database::Error> {
        let (rows, attempts) = context.database.vms()?;
        let mut machines: BTreeMap<VmId, MachineRow<Facts>> = context
            .database
            .machines()?
            .into_iter()
            .map(|row| (row.vm, row))
            .collect();
        let vms = Arc::new(Self {
            context: Arc::clone(&context),
            vms: RwLock::default(),
        });
        let known: BTreeSet<VmId> = rows.iter().map(|row| row.spec.id).collect();
        for row in rows {
            let id = row.spec.id;
            let mut state = State::at_rest(row);
            let live = match machines.remove(&id) {
                Some(row) => reclaim(&context, row).await,
                None => None,
            };
            if let Some(live) = live {
                tracing::info!(vm = %state.spec.name, pid = live.machine.record().process.pid, "adopted");
                state.phase = Phase::Running;
                state.live = Some(live);
            }
            vms.adopt(state);
        }
        // What is left belongs to VMs that a daemon died making.
        for row in machines.into_values() {
            end(&context, row.vm, &row.dir, None).await;
        }
        for id in attempts {
            forget(&context, id);
        }
        sweep(&context, &known);
        let live = vms.list().into_iter().filter_map(|handle| {
            let state = handle.state();
            let live = state.live?;
            let place = live.facts.place.as_ref()?;
            Some((place.slot, state.spec, place.way))
        });
        take_over(context, live.collect()).await;
        Ok(vms)
    }
}

/// Puts the network in order. Before anything else is attached: what the network does not know as live, it detaches.
async fn take_over(context: Arc<Context>, live: Vec<(Slot, VmSpec, Way)>) {
    let taking = tokio::task::spawn_blocking(move || {
        let config = context.config().map_err(|error| chain(&error))?;
        let taken = context.network.take_over(&config, &live);
        taken.map_err(|error| chain(&error))
    });
    if let Err(error) = taking.await.unwrap_or_else(|panicked| Err(panicked.to_string())) {
        tracing::warn!(error, "could not put the network in order");
    }
}

/// The machine of a row if it runs and its guest had been ready; else nothing of it is left.
async fn reclaim(context: &Arc<Context>, row: MachineRow<Facts>) -> Option<Live> {
    let machine = match &row.record {
        Some(record) => match adopt(context, record).await {
            Ok(machine) => machine,
            Err(why) => {
                tracing::error!(vm = %row.vm, why, "could not adopt a machine");
                None
            }
        },
        None => None,
    };
    match (machine, row.facts) {
        (Some(machine), Some(facts)) => Some(Live {
            machine,
            facts: Arc::new(facts),
            init: InitState::Booting,
        }),
        // A start that a daemon died in the middle of: its client is gone, so it is taken back.
        (machine, _) => {
            end(context, row.vm, &row.dir, machine).await;
            None
        }
    }
}

async fn adopt(
    context: &Context,
    record: &banger_vmm::MachineRecord,
) -> Result<Option<Arc<dyn Machine>>, String> {
    let backend = context
        .backends
        .adopter(record.vmm)
        .map_err(|error| chain(&error))?;
    let machine = backend.adopt(record).await.map_err(|error| chain(&error))?;
    Ok(machine.map(Arc::from))
}

/// Ends what may be left of a machine and forgets it.
async fn end(context: &Arc<Context>, id: VmId, dir: &Path, machine: Option<Arc<dyn Machine>>) {
    if let Some(machine) = machine
        && let Err(error) = machine.kill().await
    {
        tracing::error!(vm = %id, error = %chain(&error), "could not end a machine");
    }
    // Between the launch of a process and its record a daemon can die; such a process works in that directory.
    orphans::end_all_in(dir);
    if let Err(error) = remove_traces(context, id, dir).await {
        tracing::error!(vm = %id, error = %chain(&error), "could not remove what a machine left");
    }
}

/// Removes a VM whose making a daemon did not finish.
fn forget(context: &Context, id: VmId) {
    let removed = context.files(id).remove().map_err(|error| chain(&error));
    let forgotten = removed.and_then(|()| context.database.delete_vm(id).map_err(|error| chain(&error)));
    if let Err(error) = forgotten {
        tracing::error!(vm = %id, error, "could not remove a VM that was never whole");
    }
}

/// Removes directories of VMs and machines that no row knows.
fn sweep(context: &Context, known: &BTreeSet<VmId>) {
    for parent in [context.paths.state.join("vms"), context.paths.runtime.join("m")] {
        for id in ids_in(&parent).filter(|id| !known.contains(id)) {
            let path = parent.join(id.to_string());
            tracing::warn!(path = %path.display(), "removing what no VM owns");
            orphans::end_all_in(&path);
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::error!(path = %path.display(), %error, "could not remove it");
            }
        }
    }
}

/// The names in a directory that are VM ids; nothing else there is ours to touch.
fn ids_in(parent: &Path) -> impl Iterator<Item = VmId> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
