//! From a stored VM to a guest that is ready: the chain of steps, each of which owns its undo.
//!
//! ```text
//!  Plan ──▶ Disks ──▶ Launch ──▶ Kernel ──▶ Configure ──▶ ready
//!            │          │
//!            │          └ undo: kill the machine
//!            └ undo: keep the logs, remove the directory, then forget the intent
//! ```
//!
//! The intent is stored before anything of the machine exists, and goes last.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_image::{KernelRecord, Layer, initrd};
use banger_model::{Stage, VmmKind, WaitFor};
use banger_vmm::{Backend, Card, Disk, KernelFiles, LaunchSpec, Machine};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::guest_config::{self, boot_args};
use super::state::{Facts, Place};
use super::teardown::how_it_ended;
use super::undo::Undo;
use super::{Carried, Context, Error, card, machine_dir, space};
use crate::backends::Choice;
use crate::database::{Verdict, VmRow};
use crate::error::chain;
use crate::guest::Guest;
use crate::knock::Knock;
use crate::progress::Reporter;
use crate::repository::trust;
use crate::workspace::git_identity;
use crate::{identity, programs};

/// One start that was asked for.
#[derive(Debug)]
pub(crate) struct Start {
    /// When it was asked for.
    pub(crate) since: Instant,
    /// How far it goes, for what the backend can do.
    pub(crate) wait: WaitFor,
    /// Who is told.
    pub(crate) progress: Reporter,
    /// Ends it when its caller leaves.
    pub(crate) cancel: CancellationToken,
    /// Whether somebody waits for it, who knows why it is.
    pub(crate) is_watched: bool,
}

impl Start {
    /// A start whose caller waits for it. When the guard is dropped, nobody does any more.
    pub(crate) fn watched(wait: WaitFor, progress: &Reporter, since: Instant) -> (Self, DropGuard) {
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let start = Self {
            since,
            wait,
            progress: progress.clone(),
            cancel,
            is_watched: true,
        };
        (start, guard)
    }

    /// A start that nobody waits for.
    pub(crate) fn unwatched() -> Self {
        Self {
            since: Instant::now(),
            wait: WaitFor::Agent,
            progress: Reporter::default(),
            cancel: CancellationToken::new(),
            is_watched: false,
        }
    }
}

/// A machine whose guest is ready.
#[derive(Debug)]
pub(crate) struct Booted {
    /// The machine.
    pub(crate) machine: Arc<dyn Machine>,
    /// What is told of it.
    pub(crate) facts: Facts,
}

/// A start that failed and was taken back.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) error: Error,
    /// What could not be taken back, as sentences.
    pub(crate) left: Vec<String>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            left: Vec::new(),
        }
    }
}

/// Boots the VM of `row`. When it fails, nothing of the machine is left.
pub(crate) async fn boot(context: &Arc<Context>, row: &VmRow, start: &Start) -> Result<Booted, Failed> {
    let kernel = context.kernel(&row.spec.kernel)?;
    let choice = choose(context, row, &kernel)?;
    let first = attempt(context, row, start, &kernel, choice.clone()).await;
    let failed = match first {
        Ok(booted) => {
            remember(context, &booted, &kernel, &Verdict::Boots);
            return Ok(booted);
        }
        Err(failed) if choice.may_fall_back && failed.error.may_be_the_vmm() && failed.left.is_empty() => {
            failed
        }
        Err(failed) => return Err(failed),
    };
    let why = format!(
        "kernel {} did not boot under Firecracker: {}",
        kernel.name,
        chain(&failed.error)
    );
    let second = context.backends.fall_back(why).map_err(Error::Backend)?;
    let booted = match attempt(context, row, start, &kernel, second).await {
        Ok(booted) => booted,
        Err(mut second) => {
            // The first failure is the one to mend; the second says that QEMU is no way round it.
            second
                .left
                .insert(0, format!("QEMU did not do instead: {}", chain(&second.error)));
            second.error = failed.error;
            return Err(second);
        }
    };
    // Only now is it known that the VMM was to blame and not the VM.
    let fails = Verdict::Fails(chain(&failed.error));
    if let Err(error) = context
        .database
        .set_verdict(VmmKind::Firecracker, &kernel.id, &fails)
    {
        tracing::warn!(error = %chain(&error), "could not keep what a boot has shown");
    }
    Ok(booted)
}

fn choose(context: &Context, row: &VmRow, kernel: &KernelRecord) -> Result<Choice, Error> {
    let verdict = context
        .database
        .verdict(VmmKind::Firecracker, &kernel.id)
        .map_err(|source| Error::Database {
            name: row.spec.name.clone(),
            source,
        })?;
    context
        .backends
        .choose(row.spec.vmm, kernel, verdict.as_ref())
        .map_err(Error::Backend)
}

fn remember(context: &Context, booted: &Booted, kernel: &KernelRecord, verdict: &Verdict) {
    let vmm = booted.machine.record().vmm;
    if vmm != VmmKind::Firecracker {
        return;
    }
    if let Err(error) = context.database.set_verdict(vmm, &kernel.id, verdict) {
        tracing::warn!(error = %chain(&error), "could not keep what a boot has shown");
    }
}

async fn attempt(
    context: &Arc<Context>,
    row: &VmRow,
    start: &Start,
    kernel: &KernelRecord,
    choice: Choice,
) -> Result<Booted, Failed> {
    let name = &row.spec.name;
    refuse_impossible(row, kernel, &*choice.backend, start.wait)?;
    if let Some(why) = &choice.fallback {
        start.progress.note(format!("using QEMU: {why}"));
    }
    let mut undo = Undo::default();
    let steps = Steps {
        context,
        row,
        start,
        kernel,
        dir: machine_dir(&context.paths, row.spec.id),
        stages: BTreeMap::new(),
    };
    let result = tokio::select! {
        biased;
        () = start.cancel.cancelled() => Err(Error::Cancelled(name.clone())),
        result = steps.run(&choice, &mut undo) => result,
    };
    match result {
        Ok(booted) => Ok(booted),
        Err(error) => {
            let left = undo.run().await;
            Err(Failed { error, left })
        }
    }
}

fn refuse_impossible(
    row: &VmRow,
    kernel: &KernelRecord,
    backend: &dyn Backend,
    wait: WaitFor,
) -> Result<(), Error> {
    let spec = &row.spec;
    let capabilities = backend.capabilities();
    let too_many = kernel.max_vcpus.filter(|&most| spec.vcpus > most);
    let too_many = too_many.map(|most| {
        format!(
            "kernel {} takes at most {most} vCPUs, not {}",
            kernel.name, spec.vcpus
        )
    });
    let no_pvh = (capabilities.vmm == VmmKind::Qemu && !kernel.boots_under_qemu()).then(|| {
        format!(
            "QEMU boots kernel {} only as a bzImage: its ELF has no PVH note",
            kernel.name
        )
    });
    match too_many
        .or(no_pvh)
        .or_else(|| capabilities.refusal(spec.vcpus, wait))
    {
        Some(reason) => Err(Error::Unsupported {
            name: spec.name.clone(),
            reason,
        }),
        None => Ok(()),
    }
}

struct Steps<'a> {
    context: &'a Arc<Context>,
    row: &'a VmRow,
    start: &'a Start,
    kernel: &'a KernelRecord,
    dir: PathBuf,
    stages: BTreeMap<Stage, u64>,
}

impl Steps<'_> {
    async fn run(mut self, choice: &Choice, undo: &mut Undo) -> Result<Booted, Error> {
        self.ended(Stage::Plan, self.start.since);

        let since = Instant::now();
        let config = self.context.config()?;
        // Beside the boot, which takes longer.
        let apart = trust::keeps_apart(&self.context.database, &self.row.spec);
        if let Some(why) = &apart {
            self.start.progress.note(why.clone());
        }
        let has_identity = !self.row.spec.anonymous && apart.is_none();
        let wants_git = config.git_identity && has_identity;
        let git = tokio::task::spawn_blocking(move || wants_git.then(git_identity).flatten());
        // Before anything is taken, and before a machine of somebody else's could be met.
        let locks = self.context.files(self.row.spec.id).lock()?;
        space::refuse_little(&self.context.paths.state, &self.row.spec.name)?;
        self.intend(undo)?;
        let layers = self.layers()?;
        let initrd = self.initrd().await?;
        let knock = Knock::bind(&self.dir).map_err(|source| self.knock_error(source))?;
        self.ended(Stage::Disks, since);

        let since = Instant::now();
        let attached = card::attach(self.context, self.row, self.kernel, &*choice.backend, undo).await?;
        if let Ok(attached) = &attached {
            for note in &attached.notes {
                self.start.progress.note(note.clone());
            }
            self.ended(Stage::Network, since);
        }

        let since = Instant::now();
        let started = jiff::Timestamp::now();
        let card = attached.as_ref().ok().map(|attached| attached.card.clone());
        let machine = self
            .launch(&*choice.backend, (&layers, locks), initrd, card, undo)
            .await?;
        self.ended(Stage::Launch, since);

        let since = Instant::now();
        self.until(Stage::Kernel, &machine, async {
            knock.heard().await.map_err(|source| self.knock_error(source))
        })
        .await?;
        self.ended(Stage::Kernel, since);

        let since = Instant::now();
        let configure = guest_config::configure(
            &self.row.spec,
            &self.row.image,
            &layers,
            attached.as_ref().ok().map(|attached| attached.guest.clone()),
            git.await.unwrap_or_default(),
        )?;
        let guest = Guest::new(Arc::clone(&machine));
        let ready = self
            .until(Stage::Configure, &machine, async {
                guest.configure(&configure).await.map_err(|source| Error::Guest {
                    name: self.row.spec.name.clone(),
                    source: Box::new(source),
                    console: console_tail(&self.dir),
                })
            })
            .await?;
        if has_identity {
            let bringing =
                async { Ok(identity::bring(&guest, config.identity(), &self.start.progress).await) };
            let brought = self.until(Stage::Configure, &machine, bringing).await?;
            self.remember(brought);
        }
        self.ended(Stage::Configure, since);

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

    fn ended(&mut self, stage: Stage, since: Instant) {
        let micros = self.start.progress.stage(stage, since);
        self.stages.insert(stage, micros);
    }

    /// Keeps in mind which files of the host's the VM's disk has now.
    fn remember(&self, brought: Vec<String>) {
        let files = self.context.files(self.row.spec.id);
        if let Err(error) = Carried::of(files.dir()).add_files(brought) {
            tracing::warn!(error = %chain(&error), "could not note which files went along");
        }
    }

    /// Stores the intent and makes the machine's directory.
    fn intend(&self, undo: &mut Undo) -> Result<(), Error> {
        let id = self.row.spec.id;
        let (context, dir) = (Arc::clone(self.context), self.dir.clone());
        undo.push("remove what the machine left", async move {
            let removed = super::teardown::remove_traces(&context, id, &dir).await;
            removed.map_err(|error| chain(&error))
        });
        self.context
            .database
            .intend_machine(id, &self.dir)
            .map_err(|source| self.database_error(source))?;
        std::fs::create_dir_all(&self.dir).map_err(|source| Error::File {
            what: "make the machine's directory",
            path: self.dir.clone(),
            source,
        })
    }

    async fn initrd(&self) -> Result<PathBuf, Error> {
        let (kernel, cache) = (self.kernel.clone(), self.context.paths.cache.clone());
        tokio::task::spawn_blocking(move || initrd::build(&kernel, &programs::agent(), &cache))
            .await
            .map_err(|_| Error::Defect("making the initrd panicked"))?
            .map_err(|source| Error::Store {
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
        (layers, locks): (&[Layer], Vec<Arc<OwnedFd>>),
        initrd: PathBuf,
        card: Option<Card>,
        undo: &mut Undo,
    ) -> Result<Arc<dyn Machine>, Error> {
        let mut spec = self.launch_spec(layers, initrd, card);
        spec.locks = locks;
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
            Error::Ended {
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
                // A guest that cannot be reached may be one whose end is about to be told.
                Err(error) => Err(tokio::time::timeout(LAST_WORD, ended).await.unwrap_or(error)),
                value => value,
            },
            error = &mut ended => Err(error),
            () = tokio::time::sleep(deadline) => Err(Error::Silent {
                name: name.clone(),
                stage,
                after: deadline,
                console: console_tail(&self.dir),
            }),
        }
    }

    fn knock_error(&self, source: crate::knock::Error) -> Error {
        Error::Knock {
            name: self.row.spec.name.clone(),
            source,
            console: console_tail(&self.dir),
        }
    }

    fn machine_error(&self, what: &'static str, source: banger_vmm::Error) -> Error {
        Error::Machine {
            what,
            name: self.row.spec.name.clone(),
            source,
        }
    }

    fn database_error(&self, source: crate::database::Error) -> Error {
        Error::Database {
            name: self.row.spec.name.clone(),
            source,
        }
    }
}

/// How long the end of a machine may take to be told, when its guest cannot be reached.
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

/// The end of a machine's console, as printable text.
pub(crate) fn console_tail(dir: &Path) -> Option<String> {
    const TAIL: usize = 3000;
    let bytes = std::fs::read(dir.join("console.log")).ok()?;
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    let text: String = String::from_utf8_lossy(tail)
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    (!text.trim().is_empty()).then_some(text)
}
