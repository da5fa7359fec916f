//! How long a run of the tests took, for the figures.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::records;
use crate::repository;

/// The last run of this extent that passed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// How long it took, without building.
    pub(crate) seconds: f64,
    /// The commit that was tested.
    pub(crate) commit: String,
}

impl Record {
    pub(super) fn new(took: Duration) -> Self {
        Self {
            seconds: took.as_secs_f64(),
            commit: repository::commit(),
        }
    }

    pub(super) fn write(&self, figure: &str) -> Result<()> {
        let dir = records();
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{figure}.json"));
        std::fs::write(&path, serde_json::to_vec(self)?)
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

/// The record of a figure that a run of the tests took.
pub(crate) fn recorded(figure: &str) -> Result<Record> {
    let path = records().join(format!("{figure}.json"));
    let made = if figure == "test.quick_s" {
        "make test-quick"
    } else {
        "make test"
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}: run `{made}` first", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))
}
