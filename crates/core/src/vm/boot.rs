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

mod steps;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use banger_backends::Choice;
use banger_kernel::KernelRecord;
use banger_model::{VmmKind, WaitFor, chain, log_tail};
use banger_request::Reporter;
use banger_state::Verdict;
use banger_vmm::{Backend, Machine};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::steps::Steps;
use super::row::VmRow;
use super::state::Facts;
use super::undo::Undo;
use super::{Context, Error, StartError, machine_dir};

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
    /// The secrets that its caller gives the VM after it. `None` when no caller learns which ones are lost.
    pub(crate) given: Option<Vec<String>>,
}

impl Start {
    /// A start whose caller waits for it. When the guard is dropped, nobody does any more.
    pub(crate) fn watched(
        wait: WaitFor,
        given: Option<Vec<String>>,
        progress: &Reporter,
        since: Instant,
    ) -> (Self, DropGuard) {
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let start = Self {
            since,
            wait,
            progress: progress.clone(),
            cancel,
            is_watched: true,
            given,
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
            given: None,
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
    let second = context
        .backends
        .fall_back(why)
        .map_err(|source| Error::from(StartError::Backend(source)))?;
    let booted = match attempt(context, row, start, &kernel, second).await {
        Ok(booted) => booted,
        Err(mut second) => {
            // The first failure is the one to fix; the second only shows that QEMU does not work either.
            second.left.insert(
                0,
                format!("QEMU could not be used instead: {}", chain(&second.error)),
            );
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
        tracing::warn!(error = %chain(&error), "could not store the result of a boot");
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
        .map_err(|source| StartError::Backend(source).into())
}

fn remember(context: &Context, booted: &Booted, kernel: &KernelRecord, verdict: &Verdict) {
    let vmm = booted.machine.record().vmm;
    if vmm != VmmKind::Firecracker {
        return;
    }
    if let Err(error) = context.database.set_verdict(vmm, &kernel.id, verdict) {
        tracing::warn!(error = %chain(&error), "could not store the result of a boot");
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
        () = start.cancel.cancelled() => Err(StartError::Cancelled(name.clone()).into()),
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
            "kernel {} supports at most {most} vCPUs, not {}",
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

/// The end of a machine's console, as printable text.
pub(crate) fn console_tail(dir: &Path) -> Option<String> {
    const TAIL: usize = 3000;
    let bytes = std::fs::read(dir.join("console.log")).ok()?;
    Some(log_tail(&bytes, TAIL)).filter(|tail| !tail.is_empty())
}
