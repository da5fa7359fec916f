//! The steps of a start, in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_backends::Choice;
use banger_guest_api::{Network, Ready};
use banger_guest_link::{HelloError, HelloListener};
use banger_hostnet::Attached;
use banger_hostsys::programs;
use banger_identity::{self as identity, git_identity};
use banger_image::Layer;
use banger_kernel::{KernelRecord, initrd};
use banger_model::{Stage, chain};
use banger_settings::Config;
use banger_vmm::{Backend, Card, Disk, KernelFiles, LaunchSpec, Machine};
use tokio::task::JoinHandle;

use super::{Booted, Start, console_tail};
use crate::trust;
use crate::vm::disk_locks::Locks;
use crate::vm::guest_config::{self, boot_args};
use crate::vm::row::VmRow;
use crate::vm::state::{Facts, Place};
use crate::vm::teardown::how_it_ended;
use crate::vm::undo::Undo;
use crate::vm::{AccessError, StartError};
use crate::vm::{Carried, Context, Error, card, space, vsock};

/// A start, and where it is.
pub(super) struct Steps<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) row: &'a VmRow,
    pub(super) start: &'a Start,
    pub(super) kernel: &'a KernelRecord,
    pub(super) dir: PathBuf,
    pub(super) stages: BTreeMap<Stage, u64>,
}

/// What a machine takes of the host.
struct Taken {
    layers: Vec<Layer>,
    locks: Locks,
    initrd: PathBuf,
    hellos: HelloListener,
}

/// What of the user's goes into the guest.
struct Own {
    config: Config,
    is_brought: bool,
    wants_git: bool,
}

impl Steps<'_> {
    pub(super) async fn run(mut self, choice: &Choice, undo: &mut Undo) -> Result<Booted, Error> {
        self.ended(Stage::Plan, self.start.since);
        let (own, taken) = self.take(undo).await?;
        let attached = self.attach(choice, undo).await?;
        let started = jiff::Timestamp::now();
        let card = attached.as_ref().ok().map(|attached| attached.card.clone());
        let (layers, hellos) = (taken.layers.clone(), taken.hellos);
        let since = Instant::now();
        let machine = self
            .launch(&*choice.backend, (&layers, taken.locks), taken.initrd, card, undo)
            .await?;
        self.ended(Stage::Launch, since);
        // Beside the boot, which takes longer. Its fork would hold up what comes before.
        let wants_git = own.wants_git;
        let git = tokio::task::spawn_blocking(move || wants_git.then(git_identity).flatten());
        self.hear(&machine, hellos).await?;
        let guest = attached.as_ref().ok().map(|attached| attached.guest.clone());
        let ready = self.configure(&machine, &layers, guest, (own, git)).await?;
        let facts = Facts {
            fallback: choice.fallback.clone(),
            started,
            ready,
            placeless: attached.as_ref().err().cloned(),
            place: attached.ok().map(|attached| Place {
                slot: attached.slot,
                addresses: attached.guest.addresses,
                way: attached.way,
                because: attached.because,
            }),
            stages: self.stages.clone(),
        };
        self.context
            .database
            .describe_machine(self.row.spec.id, &facts)
            .map_err(|source| self.database_error(source))?;
        Ok(Booted { machine, facts })
    }

    /// Takes what a machine needs of the host, and reads what of the user's goes along.
    async fn take(&mut self, undo: &mut Undo) -> Result<(Own, Taken), Error> {
        let since = Instant::now();
        let own = self.own()?;
        // Before anything is taken, and before a machine of somebody else's could be met.
        let locks = self.context.files(self.row.spec.id).lock_soon().await?;
        space::refuse_little(&self.context.paths.state, &self.row.spec.name)?;
        self.intend(undo)?;
        let layers = self.layers()?;
        let initrd = self.initrd().await?;
        let hellos = HelloListener::bind(&self.dir).map_err(|source| self.hello_error(source))?;
        self.ended(Stage::Disks, since);
        let taken = Taken {
            layers,
            locks,
            initrd,
            hellos,
        };
        Ok((own, taken))
    }

    /// What of the user's goes into the guest: nothing beside what an untrusted repository asked for.
    fn own(&self) -> Result<Own, Error> {
        let config = self.context.config()?;
        let apart = trust::keeps_apart(&self.context.database, &self.row.spec);
        if let Some(why) = &apart {
            self.start.progress.note(why.clone());
        }
        let is_brought = !self.row.spec.anonymous && apart.is_none();
        let wants_git = config.git_identity && is_brought;
        Ok(Own {
            config,
            is_brought,
            wants_git,
        })
    }

    async fn attach(&mut self, choice: &Choice, undo: &mut Undo) -> Result<Result<Attached, String>, Error> {
        let since = Instant::now();
        let attached = card::attach(self.context, self.row, self.kernel, &*choice.backend, undo).await?;
        if let Ok(attached) = &attached {
            for note in &attached.notes {
                self.start.progress.note(note.clone());
            }
            self.ended(Stage::Network, since);
        }
        Ok(attached)
    }

    /// Waits for the hello of the guest.
    async fn hear(&mut self, machine: &Arc<dyn Machine>, hellos: HelloListener) -> Result<(), Error> {
        let since = Instant::now();
        self.until(Stage::Kernel, machine, async {
            let heard = hellos.heard();
            tokio::pin!(heard);
            loop {
                match tokio::time::timeout(LATE, &mut heard).await {
                    Ok(heard) => return heard.map_err(|source| self.hello_error(source).into()),
                    // The guest may have sent its hello, and its vsock device did not notice.
                    Err(_) => machine.rouse().await,
                }
            }
        })
        .await?;
        self.ended(Stage::Kernel, since);
        Ok(())
    }

    /// Tells the guest what it is, and brings what of the user's goes along.
    async fn configure(
        &mut self,
        machine: &Arc<dyn Machine>,
        layers: &[Layer],
        network: Option<Network>,
        (own, git): (Own, JoinHandle<Option<String>>),
    ) -> Result<Ready, Error> {
        let since = Instant::now();
        let git = git.await.unwrap_or_default();
        let configure = guest_config::configure(&self.row.spec, &self.row.image, layers, network, git)?;
        let guest = vsock::agent(machine);
        let ready = self
            .until(Stage::Configure, machine, async {
                let configured = guest.configure(&configure).await;
                configured.map_err(|source| {
                    let failed = AccessError::Guest {
                        name: self.row.spec.name.clone(),
                        source: Box::new(source),
                        console: console_tail(&self.dir),
                    };
                    failed.into()
                })
            })
            .await?;
        if own.is_brought {
            let files = own.config.identity();
            let bringing = async { Ok(identity::bring(&guest, files, &self.start.progress).await) };
            let brought = self.until(Stage::Configure, machine, bringing).await?;
            self.remember(brought);
        }
        self.ended(Stage::Configure, since);
        Ok(ready)
    }

    fn ended(&mut self, stage: Stage, since: Instant) {
        let micros = self.start.progress.stage(stage, since);
        self.stages.insert(stage, micros);
    }

    /// Keeps in mind which files of the host's the VM's disk has now.
    fn remember(&self, brought: Vec<String>) {
        let files = self.context.files(self.row.spec.id);
        if let Err(error) = Carried::of(files.dir()).add_files(brought) {
            tracing::warn!(error = %chain(&error), "could not record which files were copied into the VM");
        }
    }

    /// Stores the intent and makes the machine's directory.
    fn intend(&self, undo: &mut Undo) -> Result<(), Error> {
        let id = self.row.spec.id;
        let (context, dir) = (Arc::clone(self.context), self.dir.clone());
        undo.push("remove the files of the machine", async move {
            let removed = crate::vm::teardown::remove_traces(&context, id, &dir).await;
            removed.map_err(|error| chain(&error))
        });
        self.context
            .database
            .intend_machine(id, &self.dir)
            .map_err(|source| self.database_error(source))?;
        std::fs::create_dir_all(&self.dir).map_err(|source| Error::File {
            what: "create the runtime directory of the VM",
            path: self.dir.clone(),
            source,
        })
    }

    async fn initrd(&self) -> Result<PathBuf, Error> {
        let (kernel, cache) = (self.kernel.clone(), self.context.paths.cache.clone());
        let agent = self.context.agent.clone().unwrap_or_else(programs::agent);
        tokio::task::spawn_blocking(move || initrd::build(&kernel, &agent, &cache))
            .await
            .map_err(|_| Error::Defect("making the initrd panicked"))?
            .map_err(|source| Error::Kernel {
                what: "the initrd",
                source,
            })
    }

    /// The image's read-only layers, the lowest first.
    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let image = self.context.images.generation(&self.row.image.id);
        image.map(|image| image.layers).map_err(|source| Error::Store {
            what: "the image",
            source,
        })
    }

    async fn launch(
        &self,
        backend: &dyn Backend,
        (layers, locks): (&[Layer], Locks),
        initrd: PathBuf,
        card: Option<Card>,
        undo: &mut Undo,
    ) -> Result<Arc<dyn Machine>, Error> {
        let mut spec = self.launch_spec(layers, initrd, card);
        spec.locks = locks.into_machines();
        let machine: Arc<dyn Machine> = backend
            .launch(&spec)
            .await
            .map_err(|source| self.machine_error("launch", source))?
            .into();
        let victim = Arc::clone(&machine);
        undo.push("end the machine", async move {
            victim.kill().await.map_err(|error| chain(&error))
        });
        self.context
            .database
            .record_machine(self.row.spec.id, machine.record())
            .map_err(|source| self.database_error(source))?;
        Ok(machine)
    }

    fn launch_spec(&self, layers: &[Layer], initrd: PathBuf, card: Option<Card>) -> LaunchSpec {
        let VmRow { spec, image, .. } = self.row;
        let files = self.context.files(spec.id);
        let layers = layers.iter().map(|layer| Disk {
            path: layer.path.clone(),
            writable: false,
        });
        let own = [Some(files.disk()), image.work.then(|| files.work())];
        let own = own
            .into_iter()
            .flatten()
            .map(|path| Disk { path, writable: true });
        LaunchSpec {
            id: spec.id,
            dir: self.dir.clone(),
            kernel: KernelFiles {
                vmlinux: self.kernel.vmlinux.clone(),
                has_pvh: self.kernel.has_pvh(),
                vmlinuz: self.kernel.vmlinuz.clone(),
            },
            initrd,
            boot_args: boot_args(&self.kernel.append),
            vcpus: spec.vcpus,
            memory: spec.memory,
            disks: layers.chain(own).collect(),
            network: card,
            locks: Vec::new(),
            // Looked up by the child before it becomes another program, so it is this one, even when it was replaced.
            console_sink: PathBuf::from("/proc/self/exe"),
        }
    }

    /// Waits for `what`, but not beyond the machine's end or the stage's deadline.
    async fn until<T>(
        &self,
        stage: Stage,
        machine: &Arc<dyn Machine>,
        what: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let name = &self.row.spec.name;
        let deadline = deadline(stage, &machine.record().acceleration);
        let mut exited = machine.exited();
        let ended = async {
            let how = exited.wait_for(Option::is_some).await.ok();
            StartError::Ended {
                name: name.clone(),
                stage,
                how: how
                    .and_then(|how| how.as_ref().map(how_it_ended))
                    .unwrap_or_default(),
                console: console_tail(&self.dir),
            }
        };
        tokio::pin!(ended);
        tokio::select! {
            result = what => match result {
                // A guest that cannot be reached may be one whose end is about to be reported.
                Err(error) => Err(tokio::time::timeout(LAST_WORD, ended).await.map_or(error, Into::into)),
                value => value,
            },
            error = &mut ended => Err(error.into()),
            () = tokio::time::sleep(deadline) => Err(StartError::Silent {
                name: name.clone(),
                stage,
                after: deadline,
                console: console_tail(&self.dir),
            }
            .into()),
        }
    }

    fn hello_error(&self, source: HelloError) -> StartError {
        StartError::Hello {
            name: self.row.spec.name.clone(),
            source,
            console: console_tail(&self.dir),
        }
    }

    fn machine_error(&self, what: &'static str, source: banger_vmm::Error) -> StartError {
        StartError::Machine {
            what,
            name: self.row.spec.name.clone(),
            source,
        }
    }

    fn database_error(&self, source: banger_state::Error) -> Error {
        Error::Database {
            name: self.row.spec.name.clone(),
            source,
        }
    }
}

/// How long a guest takes to send its hello at most where nothing is wrong and the host is not very busy.
const LATE: Duration = Duration::from_secs(4);

/// How long the end of a machine may take to be reported, when its guest cannot be reached.
const LAST_WORD: Duration = Duration::from_millis(300);

/// How long a stage may take. Generous: they are for machines that hang, not for slow ones.
fn deadline(stage: Stage, acceleration: &str) -> Duration {
    let seconds = match (stage, acceleration) {
        (Stage::Kernel, "tcg") => 240,
        (Stage::Kernel, "kvm") => 30,
        (_, "tcg") => 120,
        _ => 20,
    };
    Duration::from_secs(seconds)
}
