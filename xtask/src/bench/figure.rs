//! A figure: what was measured, and beside which bound.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::list::{Bound, listed};
use crate::repository;

/// One figure, as a line of JSON.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    better: &'static str,
    /// How far from its target it may be, if it has to be near it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    #[serde(skip)]
    bound: Bound,
    backend: &'static str,
    runs: usize,
    min: f64,
    median: f64,
    max: f64,
    phases: BTreeMap<String, f64>,
    host: String,
    commit: String,
}

impl Figure {
    /// The figure of this name: the median of `samples`.
    ///
    /// # Panics
    /// When it is not listed.
    pub(super) fn of(name: &str, samples: &[f64]) -> Self {
        let listed = listed(name).unwrap_or_else(|| panic!("{name} is not in the list of figures"));
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let median = median(&sorted);
        Self {
            name: listed.name,
            value: median,
            unit: listed.unit,
            target: listed.bound.target(),
            better: listed.bound.better(),
            tolerance: listed.bound.tolerance(),
            bound: listed.bound,
            backend: "host",
            runs: sorted.len(),
            min: at(0),
            median,
            max: at(sorted.len().saturating_sub(1)),
            phases: BTreeMap::new(),
            host: host(),
            commit: repository::commit(),
        }
    }

    /// Its name.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it keeps its bound, and is a number at all.
    pub(super) fn is_kept(&self) -> bool {
        self.bound.is_kept(self.value)
    }

    /// The same, of an earlier commit.
    pub(super) fn at(self, commit: String) -> Self {
        Self { commit, ..self }
    }

    /// The same, measured under this backend.
    pub(super) fn under(self, backend: &'static str) -> Self {
        Self { backend, ..self }
    }

    /// The same, with a part told apart.
    pub(super) fn phase(mut self, name: &str, value: f64) -> Self {
        self.phases.insert(name.to_owned(), value);
        self
    }

    /// A line of JSON.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:.3} {} ({}",
            self.name, self.value, self.unit, self.backend
        )?;
        if self.runs > 1 {
            write!(f, ", {} runs, {:.3} to {:.3}", self.runs, self.min, self.max)?;
        }
        if let Some(target) = self.target {
            let around = self.tolerance.map(|tolerance| format!(" ± {tolerance}"));
            let around = around.unwrap_or_default();
            let met = if self.is_kept() { "met" } else { "MISSED" };
            write!(f, ", target {target}{around}: {met}")?;
        }
        write!(f, ")")?;
        for (name, value) in &self.phases {
            write!(f, "\n    {name:<20} {value:.3}")?;
        }
        Ok(())
    }
}

/// The middle of sorted numbers.
pub(super) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// The middle of numbers in any order.
pub(super) fn median_of(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = samples.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    median(&sorted)
}

fn host() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} x {}", cpus, model.map_or("CPU", |(_, model)| model))
}
