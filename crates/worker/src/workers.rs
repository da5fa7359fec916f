//! The daemon's side: starts a child for a job, passes on what it says, and leaves nothing of one that was not finished.

use std::process::Stdio;
use std::sync::Arc;

use banger_confined::{Child, Error};
use banger_image::ImageStore;
use banger_kernel::KernelStore;
use banger_model::{ErrorBody, body};
use banger_request::Reporter;
use bytes::Bytes;
use futures_util::Stream;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::Job;
use crate::limits::limits;
use crate::order::{COMMAND, LONGEST, Order, Said};
use crate::stores::Stores;

/// The most children at once, each of which may take what [`limits`] says.
const MOST_AT_ONCE: usize = 8;

const WHAT: &str = "the image worker";

/// How glibc's allocator works in a child (mallopt(3)). It starts with memory that it gives back at once, buffers of 256 KiB
/// each by themselves, and learns what it is used for: in a daemon once, in a child that lives for a second each time. A pull of
/// five layers had 13,000 page faults instead of 3,000. Memory comes in large pages, where the host gives them to whoever asks: a
/// fault for each 4 KiB is most of what a new process costs.
const ALLOCATOR: [(&str, &str); 4] = [
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ("MALLOC_ARENA_MAX", "4"),
    ("MALLOC_MMAP_THRESHOLD_", "4194304"),
    ("MALLOC_TRIM_THRESHOLD_", "67108864"),
];

/// Bytes of a listing that are passed on at once.
const CHUNK: usize = 64 << 10;

/// Has jobs done by children on the same stores.
#[derive(Debug, Clone)]
pub struct Workers {
    stores: Stores,
    /// Places for children.
    places: Arc<Semaphore>,
}

impl Workers {
    /// Those on `stores`.
    pub fn new(stores: Stores) -> Self {
        Self {
            stores,
            places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        }
    }

    /// Has `job` done and gives what it gives. Dropping this ends the child, and nothing of it is left.
    ///
    /// # Errors
    /// When the job fails, with its own words, or its child meets a limit.
    pub async fn run<T: DeserializeOwned>(&self, job: Job, say: &Reporter) -> Result<T, ErrorBody> {
        self.feed(job, say, tokio::io::empty()).await
    }

    /// The same for a job that reads `input`.
    ///
    /// # Errors
    /// When the job fails, with its own words, or its child meets a limit.
    pub async fn feed<T: DeserializeOwned>(
        &self,
        job: Job,
        say: &Reporter,
        input: impl AsyncRead + Unpin,
    ) -> Result<T, ErrorBody> {
        let (mut running, stdin) = Running::start(self, job, say).await?;
        let value = tokio::select! {
            biased;
            value = running.outcome(say) => value?,
            // A child that wants no more closes its input, and says why.
            () = send(stdin, input) => running.outcome(say).await?,
        };
        serde_json::from_value(value).map_err(|_| defect())
    }

    /// Has `job` done and gives the bytes that it lists. A listing that is not finished ends with an error.
    ///
    /// # Errors
    /// When the job fails, with its own words, or its child meets a limit.
    pub async fn stream(
        &self,
        job: Job,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + use<>, ErrorBody> {
        let (mut running, stdin) = Running::start(self, job, &Reporter::default()).await?;
        drop(stdin);
        running.until_begin().await?;
        Ok(futures_util::stream::try_unfold(
            running,
            |mut running| async move {
                let mut chunk = vec![0; CHUNK];
                let read = running.output.read(&mut chunk).await?;
                if read > 0 {
                    chunk.truncate(read);
                    return Ok(Some((Bytes::from(chunk), running)));
                }
                running
                    .ended()
                    .await
                    .map_err(|error| std::io::Error::other(error.message))?;
                Ok(None)
            },
        ))
    }

    /// A place for a child. Many of them at once would take what one is not given; who comes later waits and is told so.
    async fn place(&self, say: &Reporter) -> Result<OwnedSemaphorePermit, ErrorBody> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        say.note(format!(
            "{MOST_AT_ONCE} images and kernels are already being processed; waiting for one of them"
        ));
        places.acquire_owned().await.map_err(|_| defect())
    }
}

async fn send(mut stdin: ChildStdin, mut input: impl AsyncRead + Unpin) {
    let _ = tokio::io::copy(&mut input, &mut stdin).await;
    let _ = stdin.shutdown().await;
}

/// A child at work.
struct Running {
    output: BufReader<ChildStdout>,
    child: Leaving,
}

impl Running {
    async fn start(workers: &Workers, job: Job, say: &Reporter) -> Result<(Self, ChildStdin), ErrorBody> {
        let place = workers.place(say).await?;
        let limits = limits(&job);
        let runs_programs = job.runs_programs();
        let mut order = serde_json::to_vec(&Order::new(&workers.stores.paths, job))
            .expect("an order has only string keys");
        order.push(b'\n');
        let spawned = tokio::task::spawn_blocking(move || {
            let mut command = banger_confined::command("/proc/self/exe", limits);
            command.arg(COMMAND).envs(std::env::vars_os().filter(|(name, _)| {
                let name = name.as_encoded_bytes();
                // Programs of the user's get what the user's programs get, but nothing that changes how this one works.
                let is_ours =
                    name.starts_with(b"LD_") || name.starts_with(b"MALLOC_") || name == b"GLIBC_TUNABLES";
                runs_programs && !is_ours
            }));
            command.envs(ALLOCATOR);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            Child::spawn(WHAT, command, limits)
        });
        let spawned = spawned.await.map_err(|_| defect())?;
        let mut child = spawned.map_err(|error| body(&error))?;
        let (stdin, stdout) = (child.take_stdin(), child.take_stdout());
        let child = Leaving {
            child: Some(child),
            place: Some(place),
            images: workers.stores.images.clone(),
            kernels: workers.stores.kernels.clone(),
        };
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(defect());
        };
        let unheard = |source| body(&Error::Read { what: WHAT, source });
        let mut stdin = ChildStdin::from_std(stdin).map_err(unheard)?;
        let stdout = ChildStdout::from_std(stdout).map_err(unheard)?;
        let output = BufReader::with_capacity(CHUNK, stdout);
        // One that ended already says why below.
        let _ = stdin.write_all(&order).await;
        Ok((Self { output, child }, stdin))
    }

    /// The next thing that the child says; nothing at its end.
    async fn said(&mut self) -> Result<Option<Said>, ErrorBody> {
        let mut line = Vec::new();
        let read = (&mut self.output)
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .await;
        match read.map_err(|source| body(&Error::Read { what: WHAT, source }))? {
            0 => Ok(None),
            _ => serde_json::from_slice(&line).map(Some).map_err(|_| defect()),
        }
    }

    async fn outcome(&mut self, say: &Reporter) -> Result<serde_json::Value, ErrorBody> {
        while let Some(said) = self.said().await? {
            match said {
                Said::Progress(progress) => say.report(progress),
                Said::Done(value) => {
                    self.child.is_done();
                    return Ok(value);
                }
                Said::Failed(error) => return Err(error),
                Said::Begin => return Err(defect()),
            }
        }
        self.ended().await?;
        Err(defect())
    }

    async fn until_begin(&mut self) -> Result<(), ErrorBody> {
        match self.said().await? {
            Some(Said::Begin) => Ok(()),
            Some(Said::Failed(error)) => Err(error),
            Some(_) => Err(defect()),
            None => {
                self.ended().await?;
                Err(defect())
            }
        }
    }

    /// How it ended that says nothing any more.
    async fn ended(&mut self) -> Result<(), ErrorBody> {
        let Some(child) = self.child.child.take() else {
            return Ok(());
        };
        let (images, kernels) = (self.child.images.clone(), self.child.kernels.clone());
        let place = self.child.place.take();
        let waited = tokio::task::spawn_blocking(move || {
            let ended = child.wait();
            drop(place);
            clear(&images, &kernels);
            ended
        });
        match waited.await {
            Ok(ended) => ended.map(drop).map_err(|error| body(&error)),
            Err(_) => Err(defect()),
        }
    }
}

fn defect() -> ErrorBody {
    body(&Error::Answer { what: WHAT })
}

/// Whether or not it did its work, the child goes with this, and what it left unfinished.
struct Leaving {
    child: Option<Child>,
    /// Free when the child is gone.
    place: Option<OwnedSemaphorePermit>,
    images: ImageStore,
    kernels: KernelStore,
}

impl Leaving {
    /// Its work is done and it ends by itself.
    fn is_done(&mut self) {
        if let Some(child) = self.child.take() {
            let place = self.place.take();
            std::thread::spawn(move || {
                let _ = child.wait();
                drop(place);
            });
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let (images, kernels) = (self.images.clone(), self.kernels.clone());
        let place = self.place.take();
        // It may be in the middle of a long write, which nobody who answers requests waits for.
        std::thread::spawn(move || {
            drop(child);
            drop(place);
            clear(&images, &kernels);
        });
    }
}

fn clear(images: &ImageStore, kernels: &KernelStore) {
    images.clear_unfinished();
    kernels.clear_unfinished();
}
