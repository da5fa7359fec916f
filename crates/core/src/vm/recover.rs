//! What a daemon does at its start with what an earlier one left: running machines are adopted, everything that is
//! half made or half removed is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use banger_api::Paths;
use banger_guest_api::InitState;
use banger_hostnet::Way;
use banger_model::network::Slot;
use banger_model::{ByteSize, Event, Finish, Intent, Left, Phase, VmId, VmName, VmSpec, chain, finish};
use banger_settings::Config;
use banger_state::Database;
use banger_vmm::{Machine, MachineRecord};
use banger_workspace::Records;
use tokio::sync::oneshot;

use super::driver::{Command, Reply};
use super::hold::Holds;
use super::network;
use super::row::VmRow;
use super::state::Facts;
use super::teardown::remove_traces;
use super::{Context, Files, Handle, Live, Start, State, Vms, machine_dir};

/// A machine as it is stored.
type MachineRow = banger_state::MachineRow<MachineRecord, Facts>;

/// The runtime directory of a daemon: where it should be, or where an earlier one had it, as long as machines of this state have
/// their sockets there.
pub fn runtime(database: &Database, paths: &Paths) -> Result<PathBuf, banger_state::Error> {
    for row in database.machines::<MachineRecord, Facts>()? {
        let files = Files::of(&paths.state, row.vm);
        let is_ours = row
            .record
            .is_some_and(|record| files.are_used_by(&record.process));
        if let Some(runtime) = row.dir.parent().and_then(Path::parent)
            && is_ours
            && runtime.is_dir()
        {
            return Ok(runtime.to_owned());
        }
    }
    Ok(paths.runtime.clone())
}

impl Vms {
    /// The VMs that the database knows, with their machines. What a daemon died in the middle of is finished.
    pub async fn recover(context: Arc<Context>) -> Result<Arc<Self>, banger_state::Error> {
        let (rows, attempts) = context.database.vms()?;
        let intents = context.database.intents()?;
        let moved = context.database.was_moved()?;
        if moved {
            tracing::warn!(
                "this state directory was copied or moved: VM processes of the original directory are left alone"
            );
        }
        let mut machines: BTreeMap<VmId, MachineRow> = context
            .database
            .machines()?
            .into_iter()
            .map(|row| (row.vm, own(&context, row, moved)))
            .collect();
        let vms = Arc::new(Self {
            context: Arc::clone(&context),
            holds: Holds::default(),
        });
        let mut known = BTreeSet::new();
        let (mut owed, mut let_go, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let intent = intents.get(&row.spec.id).copied();
            let machine = machines.remove(&row.spec.id);
            known.insert(row.spec.id);
            let (id, name) = (row.spec.id, row.spec.name.clone());
            let goes_with_its_command = row.removes_on_exit && intent.is_none();
            let is_unfinished = row.unfinished;
            let is_let_go = !is_unfinished && is_let_go(&context, &row, intent);
            owed.extend(vms.recover_one(row, machine, intent).await);
            let runs = vms
                .find(name.as_str())
                .is_ok_and(|handle| handle.state().live.is_some());
            if goes_with_its_command && runs {
                held.push(id);
            } else if is_let_go {
                let_go.push(name);
            }
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
        for (handle, command) in owed {
            // Its task ends with the VM alone.
            let _ = handle.commands.send(command.into()).await;
        }
        vms.let_go(let_go);
        for id in held {
            // Its command is at work in it, and comes back to hold it; unless that has ended too.
            vms.expect_hold(id);
        }
        Ok(vms)
    }

    /// One VM, and the command by which what it is owed is finished.
    async fn recover_one(
        &self,
        row: VmRow,
        machine: Option<MachineRow>,
        intent: Option<Intent>,
    ) -> Option<(Handle, Command)> {
        let context = &self.context;
        let (id, name) = (row.spec.id, row.spec.name.clone());
        let removes_on_exit = row.removes_on_exit && !is_let_go(context, &row, intent);
        let unfinished = row.unfinished;
        let mut state = State::at_rest(row);
        let live = match machine {
            Some(row) => reclaim(context, row).await,
            None => None,
        };
        let left = match live {
            Some(_) => Left::Running,
            // What had been starting was taken back.
            None => Left::Nothing,
        };
        if let Some(live) = live {
            tracing::info!(vm = %name, pid = live.machine.record().process.pid, "adopted");
            state.phase = Phase::Running;
            state.live = Some(live);
        }
        let what = match intent {
            _ if unfinished => "vm run",
            intent => intent.map_or("vm run --rm", Intent::command),
        };
        let owed = match unfinished {
            // The request that created it ended with the daemon, and nobody has been given the VM: it has no work.
            true => Finish::Remove,
            false => finish(intent, removes_on_exit, left),
        };
        if !matches!(owed, Finish::Adopt | Finish::Rest) || intent.is_some() {
            tracing::warn!(vm = %name, ?owed, "an earlier daemon ended during `{what}`; finishing it");
            state.notice = Some(format!(
                "bangerd ended during `{what}`, and the next bangerd finished it"
            ));
        }
        let grace = |grace_ms: Option<u64>| Duration::from_millis(grace_ms.unwrap_or_default());
        let command = match owed {
            Finish::Adopt => None,
            Finish::Rest => {
                grown(context, &state.spec);
                settle(context, id);
                None
            }
            Finish::End { grace_ms: None } => Some(unwatched(&name, Command::Kill)),
            Finish::End { grace_ms } => Some(unwatched(&name, |reply| Command::Stop(grace(grace_ms), reply))),
            Finish::EndAndStart { grace_ms } => Some(unwatched(&name, |reply| {
                Command::Restart(grace(Some(grace_ms)), Start::unwatched(), reply)
            })),
            Finish::Start => Some(unwatched(&name, |reply| {
                Command::Start(Start::unwatched(), reply)
            })),
            Finish::Remove => {
                let removed = remove(context, id, state.live.take()).await;
                let Err(error) = removed else { return None };
                tracing::error!(vm = %name, error, "could not finish removing a VM");
                // It is there yet, and can be deleted by hand.
                state.phase = Phase::Stopped;
                None
            }
        };
        if matches!(owed, Finish::End { .. } | Finish::EndAndStart { .. }) {
            // It is what it becomes, from the first look on.
            state.phase = state.phase.on(Event::Stop).unwrap_or(state.phase);
        }
        let handle = self.adopt(state)?;
        command.map(|command| (handle, command))
    }
}

/// Whether a VM goes with its command, which ended with the earlier daemon, only after its work was pulled. One that does not
/// run any more, as after a reboot of the host, stays where it has work.
fn is_let_go(context: &Context, row: &VmRow, intent: Option<Intent>) -> bool {
    row.removes_on_exit
        && intent.is_none()
        && !Records::of(context.files(row.spec.id).dir()).is_empty()
        && context.exports_unattended()
}

/// A command that nobody waits for; what becomes of it is logged.
fn unwatched<T: Send + 'static>(name: &VmName, command: impl FnOnce(Reply<T>) -> Command) -> Command {
    let (reply, outcome) = oneshot::channel();
    let name = name.clone();
    tokio::spawn(async move {
        if let Ok(Err(error)) = outcome.await {
            tracing::error!(vm = %name, error = %chain(&error), "could not finish an operation of an earlier daemon");
        }
    });
    command(reply)
}

/// The row as far as it is this state's: of a copy, the machine and its directory are the original's, and are let alone.
fn own(context: &Context, row: MachineRow, moved: bool) -> MachineRow {
    let files = context.files(row.vm);
    let is_ours = row
        .record
        .as_ref()
        .is_some_and(|record| files.are_used_by(&record.process));
    let paths = &context.paths;
    let mut here = std::iter::once(&paths.runtime).chain(&paths.former_runtime);
    let is_elsewhere = moved || !here.any(|runtime| row.dir.starts_with(runtime));
    if is_ours || !is_elsewhere {
        return row;
    }
    tracing::warn!(vm = %row.vm, dir = %row.dir.display(), "a VMM process belongs to another state directory");
    MachineRow {
        dir: machine_dir(&context.paths, row.vm),
        record: None,
        facts: None,
        ..row
    }
}

/// What was intended needs no more.
fn settle(context: &Context, id: VmId) {
    if let Err(error) = context.database.intend(id, None) {
        tracing::warn!(vm = %id, error = %chain(&error), "could not record that a VM is stopped");
    }
}

/// Finishes the growth of a disk: the size is stored before the disk has it.
fn grown(context: &Context, spec: &VmSpec) {
    let files = context.files(spec.id);
    let is_smaller = |size: ByteSize| size < spec.disk_size;
    if files.size().is_some_and(is_smaller)
        && let Err(error) = files.grow(spec.disk_size)
    {
        tracing::error!(vm = %spec.name, error = %chain(&error), "could not finish growing a disk");
    }
}

/// Removes a VM with all that is left of it. The record goes last.
async fn remove(context: &Arc<Context>, id: VmId, live: Option<Live>) -> Result<(), String> {
    if let Some(live) = live {
        let dir = live.machine.record().dir.clone();
        end(context, id, &dir, Some(live.machine)).await;
    }
    let files = context.files(id);
    files.remove().map_err(|error| chain(&error))?;
    context.database.delete_vm(id).map_err(|error| chain(&error))
}

/// Puts the network in order. Before anything else is attached: what the network does not know as live, it detaches.
async fn take_over(context: Arc<Context>, live: Vec<(Slot, VmSpec, Way)>) {
    let taking = tokio::task::spawn_blocking(move || {
        // Without a configuration VMs keep what they have.
        let config = context.config().unwrap_or_else(|_| Config::default());
        let taken = context.network.take_over(&network::settings(&config), &live);
        taken.map_err(|error| chain(&error))
    });
    if let Err(error) = taking.await.unwrap_or_else(|panicked| Err(panicked.to_string())) {
        tracing::warn!(error, "could not reconcile the network");
    }
}

/// The machine of a row if it runs and its guest had been ready; else nothing of it is left.
async fn reclaim(context: &Arc<Context>, row: MachineRow) -> Option<Live> {
    let files = context.files(row.vm);
    let sees_it = row
        .record
        .as_ref()
        .is_some_and(|record| files.are_used_by(&record.process));
    if !sees_it && row.record.is_some() && files.are_in_use() {
        // Such as one in a container that this is not in. Nothing of it is to be touched.
        tracing::error!(vm = %row.vm, "a VMM process that this daemon does not see uses the disk of a VM");
        return None;
    }
    let machine = match &row.record {
        Some(record) => match adopt(context, record).await {
            Ok(machine) => machine,
            Err(why) => {
                tracing::error!(vm = %row.vm, why, "could not adopt a running VM");
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
        tracing::error!(vm = %id, error = %chain(&error), "could not end a VMM process");
    }
    // Between the launch of a process and its record a daemon can die; such a process works in that directory.
    banger_hostsys::orphans::end_all_in(dir);
    if let Err(error) = remove_traces(context, id, dir).await {
        tracing::error!(vm = %id, error = %chain(&error), "could not remove the files of an ended VMM process");
    }
}

/// Removes a VM whose making a daemon did not finish.
fn forget(context: &Context, id: VmId) {
    let removed = context.files(id).remove().map_err(|error| chain(&error));
    let forgotten = removed.and_then(|()| context.database.delete_vm(id).map_err(|error| chain(&error)));
    if let Err(error) = forgotten {
        tracing::error!(vm = %id, error, "could not remove a partially created VM");
    }
}

/// Removes directories of VMs and machines that no row knows.
fn sweep(context: &Context, known: &BTreeSet<VmId>) {
    for parent in [context.paths.state.join("vms"), context.paths.runtime.join("m")] {
        for id in ids_in(&parent).filter(|id| !known.contains(id)) {
            let path = parent.join(id.to_string());
            tracing::warn!(path = %path.display(), "removing files that belong to no VM");
            banger_hostsys::orphans::end_all_in(&path);
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::error!(path = %path.display(), %error, "could not remove files that belong to no VM");
            }
        }
    }
}

/// The names in a directory that are VM ids; nothing else there is ours to touch.
fn ids_in(parent: &Path) -> impl Iterator<Item = VmId> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
