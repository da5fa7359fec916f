//! Daemons that are killed in the middle of every verb.

use anyhow::{Result, ensure};
use banger_e2e::kills;

use super::figure::Figure;

/// How often.
const CASES: usize = 200;

/// The cases, and how many of them left something half done.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let seed = std::time::UNIX_EPOCH.elapsed()?.subsec_nanos();
    let report = kills::kill_often(CASES, seed.into())?;
    for failure in &report.failures {
        eprintln!("half done: {failure}");
    }
    ensure!(report.cases == CASES, "only {} cases", report.cases);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let (cases, failed) = (report.cases as f64, report.failures.len() as f64);
    Ok(vec![
        Figure::of("kills.cases", &[cases]),
        Figure::of("kills.failed", &[failed]),
    ])
}
