//! The root helper's figures, which a bench of its crate takes in network namespaces of its own.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figure::Figure;
use crate::repository;

/// What the bench takes.
pub(super) const NAMES: &[&str] = &[
    "net.answer_among_200vm_ms",
    "net.attach_50_at_once_ms",
    "net.attach_cold_ms",
    "net.attach_warm_among_200vm_ms",
    "net.attach_warm_ms",
    "net.detach_200vm_ms",
    "net.detach_ms",
    "net.policy_200vm_ms",
    "net.policy_in_a_row_200vm_ms",
    "net.prepare_ms",
    "net.rebuild_200vm_ms",
    "net.round_trip_1vm_us",
    "net.round_trip_200vm_us",
    "net.ruleset_200vm_ms",
];

/// A line that the bench prints.
#[derive(Deserialize)]
struct Taken {
    name: String,
    samples: Vec<f64>,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let output = repository::cargo()
        .args([
            "bench",
            "--quiet",
            "--package",
            "banger-root",
            "--bench",
            "figures",
        ])
        .output()
        .context("failed to run `cargo bench`")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the helper's bench failed: {words}");
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let taken: Taken =
                serde_json::from_str(line).with_context(|| format!("failed to read {line}"))?;
            ensure!(
                NAMES.contains(&&*taken.name),
                "the helper's bench took {}",
                taken.name
            );
            Ok(Figure::of(&taken.name, &taken.samples))
        })
        .collect()
}
