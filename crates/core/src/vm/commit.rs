//! A VM's changes, made an image.
//!
//! Its disk is copied while nothing writes to it: a running guest freezes its file system, and one that is stopped must
//! stay so meanwhile. The VM's task is not held up for that; a copy during which something changed is thrown away.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banger_api::{ErrorBody, Progress};
use banger_image::{Committing, ImageRecord};
use banger_model::{ImageName, KernelName, Phase, WaitFor, body};
use banger_request::Reporter;
use banger_worker::Job;
use tokio_util::sync::CancellationToken;

use super::driver::Command;
use super::{AccessError, Carried, Context, Error, Handle, Start};

/// What a guest that was started for a commit gets to end.
const GRACE: Duration = Duration::from_secs(30);

/// What is made of a VM.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The image's name.
    pub name: ImageName,
    /// The kernel that its VMs boot; that of the base image when absent.
    pub kernel: Option<KernelName>,
    /// Replace an image of that name.
    pub force: bool,
}

impl Handle {
    /// Makes an image of what the VM has changed, on top of the image it boots. A stopped one whose disk was not unmounted
    /// (its guest was killed, or its init leaves that to the kernel) is started for it, and stopped again.
    pub async fn commit(
        &self,
        context: &Arc<Context>,
        wanted: Wanted,
        say: &Reporter,
    ) -> Result<ImageRecord, ErrorBody> {
        self.tell_what_goes_along(context, say);
        match self.copy_as_it_is(context, &wanted, say).await {
            Ok(copied) => return publish(context, copied, wanted, say).await,
            Err(Error::Store {
                source: banger_image::Error::NotAtRest,
                ..
            }) => {}
            Err(error) => return Err(body(&error)),
        }
        let (vm, context, say) = (self.clone(), Arc::clone(context), say.clone());
        // A request that is dropped in the middle must not leave the VM running.
        let all = tokio::spawn(async move { vm.commit_started(&context, wanted, &say).await });
        all.await
            .map_err(|_| body(&Error::Defect("committing a VM panicked")))?
    }

    /// Says which files of the host's an image may get: they are on the disk that becomes its layer.
    fn tell_what_goes_along(&self, context: &Context, say: &Reporter) {
        let files = context.files(self.state().spec.id);
        let brought: Vec<String> = Carried::of(files.dir()).files().into_iter().collect();
        if !brought.is_empty() {
            say.note(format!(
                "the image contains host files that were copied into the VM: {}; a VM created with `--no-identity` has none",
                brought.join(", ")
            ));
        }
    }

    async fn commit_started(
        &self,
        context: &Arc<Context>,
        wanted: Wanted,
        say: &Reporter,
    ) -> Result<ImageRecord, ErrorBody> {
        let (start, guard) = Start::watched(WaitFor::Agent, None, &Reporter::default(), Instant::now());
        let is_new = self.ask(|reply| Command::Start(start, reply)).await?;
        guard.disarm();
        let copied = self.copy_as_it_is(context, &wanted, say).await;
        // Whoever started it meanwhile uses it.
        let stopped = match is_new {
            true => self.stop(GRACE).await,
            false => Ok(()),
        };
        let copied = copied.map_err(|error| body(&error))?;
        let record = publish(context, copied, wanted, say).await?;
        stopped.map(|()| record)
    }

    /// Copies the VM's disk.
    async fn copy_as_it_is(
        &self,
        context: &Arc<Context>,
        wanted: &Wanted,
        say: &Reporter,
    ) -> Result<Committing, Error> {
        let left = CancellationToken::new();
        // Goes with the request, and then the work ends.
        let _leaving = left.clone().drop_guard();
        let mut changes = self.state.clone();
        let state = changes.borrow_and_update().clone();
        let name = state.spec.name.clone();
        if state.image.work {
            return Err(Error::Unsupported {
                name,
                reason: "its image has a work seed, and the content of /root would be lost".to_owned(),
            });
        }
        let frozen = match (state.phase, &state.live) {
            (Phase::Running, Some(live)) => {
                let freezing = live.guest().freeze().await;
                Some(freezing.map_err(AccessError::of_guest(&name))?)
            }
            (Phase::Stopped | Phase::Failed, None) => None,
            (phase, _) => return Err(AccessError::NotRunning { name, phase }.into()),
        };
        let files = context.files(state.spec.id);
        // A machine has the lock of a disk that is frozen; of another one the copy has it, for as long as it reads.
        let held = match &frozen {
            Some(_) => None,
            None => Some((context.copies.begin(state.spec.id, &left), files.lock_to_read()?)),
        };
        let stores = Arc::clone(context);
        let base = state.image.id.clone();
        let copy = wanted.clone();
        let mut progress = told(say, "copying the disk", &left);
        let copied = blocking(move || {
            let disk = files.disk();
            let copied = stores
                .images
                .commit(&copy.name, &base, &disk, copy.force, &mut progress);
            if let Some((copying, locks)) = held {
                // Who waits for the copy's end wants the lock.
                drop(locks);
                drop(copying);
            }
            copied
        });
        let copied = match copied.await {
            Err(_) if left.is_cancelled() => return Err(Error::Disturbed(name)),
            copied => copied?,
        };
        let at_rest = match frozen {
            Some(frozen) => frozen.held().await,
            None => !changes.has_changed().unwrap_or(true),
        };
        if !at_rest {
            return Err(Error::Disturbed(name));
        }
        Ok(copied)
    }
}

/// Makes the copy an image. A guest has written it, so what reads it is a child.
async fn publish(
    context: &Arc<Context>,
    copied: Committing,
    wanted: Wanted,
    say: &Reporter,
) -> Result<ImageRecord, ErrorBody> {
    let flat = match copied.layers() {
        Some(layers) => {
            let to = copied.flat();
            Some(context.workers.run(Job::Flatten { layers, to }, say).await?)
        }
        None => None,
    };
    let stores = Arc::clone(context);
    let published = blocking(move || {
        let (kernel, force) = (wanted.kernel, wanted.force);
        stores
            .images
            .publish_commit(copied, flat, &wanted.name, kernel, force)
    });
    published.await.map_err(|error| body(&error))
}

/// Tells how far something has come, and ends it when nobody waits for it any more.
fn told(
    say: &Reporter,
    what: &'static str,
    left: &CancellationToken,
) -> impl FnMut(u64, Option<u64>) -> ControlFlow<()> + Send + 'static {
    let (say, left) = (say.clone(), left.clone());
    move |done, total| {
        let what = what.to_owned();
        say.report(Progress::Bytes { what, done, total });
        match left.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, banger_image::Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Defect("committing a VM panicked"))?
        .map_err(|source| Error::Store {
            what: "the image",
            source,
        })
}
