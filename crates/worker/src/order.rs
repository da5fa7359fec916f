//! What goes between the daemon and its child.

use std::path::PathBuf;

use banger_api::{Paths, Progress};
use banger_model::ErrorBody;
use serde::{Deserialize, Serialize};

use crate::job::Job;

/// The name of the hidden command.
pub(crate) const COMMAND: &str = "image-worker";

/// The longest line that a child may say: a record with what its image's maker says of it.
pub(crate) const LONGEST: u64 = 16 << 20;

/// The first line on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    paths: [PathBuf; 5],
    former_runtime: Option<PathBuf>,
    pub(crate) job: Job,
}

impl Order {
    /// To do `job` with these paths.
    pub(crate) fn new(paths: &Paths, job: Job) -> Self {
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

    /// Where everything is kept.
    pub(crate) fn paths(&self) -> Paths {
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
pub(crate) enum Said {
    Progress(Progress),
    Done(serde_json::Value),
    Failed(ErrorBody),
    /// Bytes follow, to the end.
    Begin,
}
