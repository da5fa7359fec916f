//! Work on foreign images, kernels and disks, in a child that cannot take the daemon with it.
//!
//! ```text
//!  daemon ── stdin: the job, a line of JSON; then a tar, where the client sends one ──▶ bangerd image-worker
//!         ◀── stdout: progress and the outcome, lines of JSON; or a listing as bytes ──   (banger_confined)
//! ```
//!
//! Whatever decodes an archive, reads a file system or parses an image's documents is a [`Job`]. The child opens the
//! stores itself; several processes may. It ends when nobody reads what it says, so neither a client that leaves nor a
//! daemon that is killed leaves it behind. What it had begun goes then.

mod child;
mod job;
mod parent;

use std::path::PathBuf;
use std::time::Duration;

use banger_api::{ErrorBody, Paths, Progress};
use banger_confined::Limits;
use banger_image::{ImageStore, KernelStore};
use serde::{Deserialize, Serialize};

pub(crate) use child::{Answer, serve};
pub(crate) use job::{Job, PulledImage, PulledKernel};
pub(crate) use parent::{feed, run, stream};

/// The name of the hidden command.
const COMMAND: &str = "image-worker";

/// The most children at once, each of which may take what [`limits`] says.
pub(crate) const MOST_AT_ONCE: usize = 8;

/// The longest line that a child may say: a record with what its image's maker says of it.
const LONGEST: u64 = 16 << 20;

/// Where things are, for those who have no [`Context`](crate::vm::Context).
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) paths: Paths,
    pub(crate) images: ImageStore,
    pub(crate) kernels: KernelStore,
}

impl Stores {
    fn open(paths: Paths) -> Result<Self, banger_image::Error> {
        Ok(Self {
            images: ImageStore::open(&paths.data)?,
            kernels: KernelStore::open(&paths.data, &paths.cache)?,
            paths,
        })
    }
}

/// The first line on standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    paths: [PathBuf; 5],
    former_runtime: Option<PathBuf>,
    job: Job,
}

impl Order {
    fn new(paths: &Paths, job: Job) -> Self {
        let Paths {
            config,
            state,
            data,
            cache,
            runtime,
            former_runtime,
        } = paths.clone();
        Self {
            paths: [config, state, data, cache, runtime],
            former_runtime,
            job,
        }
    }

    fn paths(&self) -> Paths {
        let [config, state, data, cache, runtime] = self.paths.clone();
        Paths {
            config,
            state,
            data,
            cache,
            runtime,
            former_runtime: self.former_runtime.clone(),
        }
    }
}

/// A line on standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Progress(Progress),
    Done(serde_json::Value),
    Failed(ErrorBody),
    /// Bytes follow, to the end.
    Begin,
}

/// What a job may take. The trees of the largest images are about half of it; bombs are refused long before by budgets
/// that have names. On small hosts it is less.
fn limits(job: &Job) -> Limits {
    let ram = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    });
    let half = ram.map_or(u64::MAX, |kib| kib << 9);
    Limits {
        memory: half.clamp(768 << 20, 2 << 30),
        cpu: Duration::from_secs(2 * 3600),
        // A download takes as long as it takes; `[fetch]` says how long nothing may come.
        time: (!job.waits_for_others()).then_some(Duration::from_secs(4 * 3600)),
        output: LONGEST,
    }
}
