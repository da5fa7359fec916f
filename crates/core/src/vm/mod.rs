//! The VMs of this daemon: a registry of tasks, one per VM.
//!
//! Only a VM's own task ([`driver`]) changes that VM; the registry makes tasks, finds them by name, and hands
//! commands to them.

mod awaited;
mod boot;
mod card;
mod carried;
mod change;
mod commit;
mod copies;
mod create;
mod disk_locks;
mod disks;
mod driver;
mod error;
mod furnish;
mod guard;
mod guest_config;
mod guest_events;
mod hold;
#[cfg(test)]
mod lives;
mod network;
mod prune;
mod recover;
mod registry;
pub(crate) mod row;
mod space;
mod state;
mod teardown;
mod undo;
mod usage;
mod vsock;
mod wait;
mod workspaces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_api::{self as api, ErrorBody, ForwardAdd, ForwardRemove, Paths, VmSet};
use banger_backends::Backends;
use banger_forward::Table;
use banger_hostnet::Network;
use banger_image::ImageStore;
use banger_kernel::{KernelRecord, KernelStore};
use banger_keys::Keys;
use banger_model::network::Policy;
use banger_model::{Forward, KernelName, Phase, VmId, VmName, VmmKind, WaitFor, body, chain};
use banger_netplan::Rules;
use banger_request::Reporter;
use banger_settings::Config;
use banger_state::Database;
use banger_worker::Workers;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::boot::Start;
pub(crate) use self::carried::Carried;
pub use self::commit::Wanted;
pub use self::copies::Copies;
pub(crate) use self::disks::Files;
pub use self::error::Error;
pub(crate) use self::error::{AccessError, CreateError, EndError, SpecError, StartError};
pub(crate) use self::guest_config::variables;
pub use self::hold::Held;
pub use self::prune::PruneError;
pub use self::recover::runtime;
pub use self::registry::Registry;
pub use self::row::ImageRef;
pub(crate) use self::state::space_used;
pub use self::state::{Live, State};
pub use self::workspaces::scratch;

use self::driver::{Command, Driver, Ordered, Reply};
use self::hold::Holds;
use crate::pulls::Pulls;

/// What all VMs share.
#[derive(Debug)]
pub struct Context {
    /// Where things are kept.
    pub paths: Paths,
    /// The durable state.
    pub database: Arc<Database>,
    /// Images.
    pub images: ImageStore,
    /// Kernels.
    pub kernels: KernelStore,
    /// VMMs.
    pub backends: Backends,
    /// Which images are being pulled.
    pub pulls: Pulls,
    /// Which disks are being copied.
    pub copies: Arc<Copies>,
    /// Children that work on images and kernels.
    pub workers: Workers,
    /// Which ports are forwarded.
    pub forwards: Arc<Table>,
    /// The network of VMs.
    pub network: Network,
    /// Keys for SSH.
    pub ssh: Keys,
    /// Which VMs there are.
    pub registry: Registry,
    /// The guest agent, if it is another than the installed one.
    pub agent: Option<PathBuf>,
}

/// Has VMMs found where the configuration says.
pub fn configure_programs(config: &Config) {
    banger_vmm::path::configure(VmmKind::Firecracker, config.firecracker_bin.as_deref());
    banger_vmm::path::configure(VmmKind::Qemu, config.qemu_bin.as_deref());
}

impl Context {
    /// What the user has configured now: a change counts from the next request on.
    pub fn config(&self) -> Result<Config, banger_settings::Error> {
        let config = Config::load(&self.paths)?;
        configure_programs(&config);
        Ok(config)
    }

    /// Whether work is pulled before a VM goes whose command nobody attends. A configuration that cannot be read may say so.
    pub(crate) fn exports_unattended(&self) -> bool {
        self.config().map_or(true, |config| config.auto_export)
    }

    /// The files of a VM.
    pub(crate) fn files(&self, id: VmId) -> Files {
        Files::of(&self.paths.state, id)
    }

    /// What a policy comes to in numbers. A VM that it names and that has no slot yet is left out until it has one.
    pub(crate) fn rules(&self, policy: &Policy) -> Rules {
        Rules::of(policy, |name| {
            let slot = self.database.slot_of_name(name.as_str());
            slot.unwrap_or_else(|error| {
                tracing::warn!(vm = %name, error = %chain(&error), "could not find the slot of a VM");
                None
            })
        })
    }

    /// Tells SSH clients which VMs there are, with those of their keys that are made.
    async fn tell_ssh(self: &Arc<Self>) {
        let (context, directories) = (Arc::clone(self), self.directories());
        let told = tokio::task::spawn_blocking(move || context.ssh.publish(&directories)).await;
        // The next client is told before it asks.
        if let Ok(Err(error)) = told {
            tracing::warn!(error = %chain(&error), "could not update the SSH client configuration");
        }
    }

    /// Where the durable files of every VM are.
    pub(crate) fn directories(&self) -> BTreeMap<VmName, PathBuf> {
        let of = |handle: Handle| {
            let spec = handle.state().spec;
            let dir = self.files(spec.id).dir().to_owned();
            (spec.name, dir)
        };
        self.registry.list().into_iter().map(of).collect()
    }

    fn kernel(&self, name: &KernelName) -> Result<KernelRecord, Error> {
        self.kernels.get(name).map_err(|source| Error::Kernel {
            what: "the kernel",
            source,
        })
    }
}

/// The directory of a VM's machine: its sockets have short paths there, and all of it goes with the machine.
pub(crate) fn machine_dir(paths: &Paths, id: VmId) -> PathBuf {
    paths.runtime.join("m").join(id.to_string())
}

/// One VM of the registry.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Ordered>,
    state: watch::Receiver<State>,
}

/// The registry.
#[derive(Debug)]
pub struct Vms {
    context: Arc<Context>,
    holds: Holds,
}

impl Vms {
    /// What all VMs share.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Every VM, by name.
    pub fn list(&self) -> Vec<Handle> {
        self.context.registry.list()
    }

    /// The VM of this name.
    pub fn find(&self, name: &str) -> Result<Handle, Error> {
        self.context.registry.find(name)
    }

    /// Gives a VM, which does not run, another name. Gives the VM, and those whose network rules name it by the old one.
    pub async fn rename(&self, name: &str, new: VmName) -> Result<(Handle, Vec<VmName>), ErrorBody> {
        let handle = self.find(name).map_err(|error| body(&error))?;
        let named_by = handle.rename(new).await?;
        Ok((handle, named_by))
    }

    /// How many machines there are.
    pub fn machines(&self) -> usize {
        self.list()
            .iter()
            .filter(|handle| handle.state().live.is_some())
            .count()
    }

    /// The names of the VMs that boot this image generation.
    pub fn users_of_image(&self, id: &str) -> Vec<String> {
        self.names_where(|state| state.image.id == id)
    }

    /// The names of the VMs that boot this kernel.
    pub fn users_of_kernel(&self, name: &KernelName) -> Vec<String> {
        self.names_where(|state| state.spec.kernel == *name)
    }

    fn names_where(&self, holds: impl Fn(&State) -> bool) -> Vec<String> {
        let states = self.list().into_iter().map(|handle| handle.state());
        states
            .filter(holds)
            .map(|state| state.spec.name.to_string())
            .collect()
    }

    /// The image generations that any VM boots.
    pub fn images_in_use(&self) -> BTreeSet<String> {
        self.images_in_use_without(&[])
    }

    /// The image generations that any other VM than these boots.
    pub(crate) fn images_in_use_without(&self, vms: &[String]) -> BTreeSet<String> {
        let states = self.list().into_iter().map(|handle| handle.state());
        let others = states.filter(|state| !vms.iter().any(|vm| vm == state.spec.name.as_str()));
        others.map(|state| state.image.id).collect()
    }

    /// Why VMs reach nothing for now, if their network is withdrawn.
    pub async fn why_withdrawn(&self) -> Option<String> {
        let context = Arc::clone(&self.context);
        let asked = tokio::task::spawn_blocking(move || context.network.why_withdrawn());
        asked.await.ok().flatten()
    }

    /// Starts the task of a VM that is in `state`. Nothing when the name is taken.
    fn adopt(&self, state: State) -> Option<Handle> {
        let name = state.spec.name.clone();
        self.context.registry.add(name, || {
            let (commands, queue) = mpsc::channel(16);
            let (publish, state) = watch::channel(state);
            tokio::spawn(Driver::new(Arc::clone(&self.context), queue, publish).run());
            Handle { commands, state }
        })
    }
}

impl Handle {
    /// The VM now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The VM as clients see it.
    pub fn view(&self, context: &Context) -> api::Vm {
        let state = self.state();
        let files = context.files(state.spec.id);
        state.view(&files)
    }

    /// The machine, when the guest is ready.
    pub fn live(&self) -> Result<Live, Error> {
        let state = self.state();
        match (state.phase, state.live) {
            (Phase::Running, Some(live)) => Ok(live),
            (Phase::Paused, _) => Err(AccessError::Paused {
                name: state.spec.name,
                why: space::WHY,
            }
            .into()),
            (phase, _) => Err(AccessError::NotRunning {
                name: state.spec.name,
                phase,
            }
            .into()),
        }
    }

    /// Starts the VM, unless it runs, and waits as far as `wait` says. `given` names the secrets that the caller gives it after that.
    /// Dropping the future cancels a start that has not succeeded. Tells whether it was started for this.
    pub async fn start(
        &self,
        wait: WaitFor,
        given: Vec<String>,
        progress: &Reporter,
        since: Instant,
    ) -> Result<bool, ErrorBody> {
        let (start, guard) = Start::watched(wait, Some(given), progress, since);
        let is_new = self.ask(|reply| Command::Start(start, reply)).await?;
        guard.disarm();
        wait::until(self, wait, progress)
            .await
            .map_err(|error| body(&error))?;
        Ok(is_new)
    }

    /// Stops the VM and starts it again, as one verb: a daemon that dies in between owes the start.
    pub async fn restart(
        &self,
        grace: Duration,
        wait: WaitFor,
        given: Vec<String>,
        progress: &Reporter,
    ) -> Result<(), ErrorBody> {
        let (start, guard) = Start::watched(wait, Some(given), progress, Instant::now());
        self.ask(|reply| Command::Restart(grace, start, reply)).await?;
        guard.disarm();
        wait::until(self, wait, progress)
            .await
            .map_err(|error| body(&error))
    }

    /// Powers the VM off; the guest's init gets this long.
    pub async fn stop(&self, grace: Duration) -> Result<(), ErrorBody> {
        self.ask(|reply| Command::Stop(grace, reply)).await
    }

    /// Ends the machine now.
    pub async fn kill(&self) -> Result<(), ErrorBody> {
        self.ask(Command::Kill).await
    }

    /// Ends, removes and forgets the VM. Without `force`, only one that does not run and has no work that the host does not have.
    async fn delete(&self, force: bool) -> Result<(), ErrorBody> {
        self.ask(|reply| Command::Delete { force, reply }).await
    }

    /// Lets the VM stay when its request has ended.
    async fn finish(&self) -> Result<(), ErrorBody> {
        self.ask(Command::Finish).await
    }

    /// Changes what the VM is made of.
    pub async fn set(&self, set: VmSet) -> Result<(), ErrorBody> {
        self.ask(|reply| Command::Set(Box::new(set), reply)).await
    }

    /// Gives the VM, which does not run, another name. Gives the VMs whose rules name it by the old one.
    async fn rename(&self, name: VmName) -> Result<Vec<VmName>, ErrorBody> {
        self.ask(|reply| Command::Rename(name, reply)).await
    }

    /// Forwards a port; gives what is forwarded, with the port that was found for it.
    pub async fn add_forward(&self, add: ForwardAdd) -> Result<Forward, ErrorBody> {
        self.ask(|reply| Command::AddForward(add, reply)).await
    }

    /// Forwards ports no more; gives those that were.
    pub async fn remove_forwards(&self, remove: ForwardRemove) -> Result<Vec<Forward>, ErrorBody> {
        self.ask(|reply| Command::RemoveForwards(remove, reply)).await
    }

    /// Returns when the VM is gone.
    pub async fn gone(&self) {
        self.commands.closed().await;
    }

    /// Whether the VM is gone.
    fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    /// Returns when the machine that runs now, if any, has ended.
    pub async fn ended(&self) {
        let mut state = self.state.clone();
        // An error means that the VM was deleted, and its machine with it.
        let _ = state.wait_for(|state| state.live.is_none()).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ErrorBody> {
        let (reply, mut outcome) = oneshot::channel();
        let gone = || body(&Error::Gone(self.state().spec.name));
        self.commands
            .send(command(reply).into())
            .await
            .map_err(|_| gone())?;
        tokio::select! {
            biased;
            outcome = &mut outcome => outcome.map_err(|_| gone())?,
            // A command that is sent while the task ends may be neither refused nor dropped by its queue, for as long as the queue
            // has a sender, which is this.
            () = self.commands.closed() => outcome.try_recv().map_err(|_| gone())?,
        }
    }
}
