//! How many attack cases the last `make test` saw refused.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::figure::Figure;

/// The distinct names in the record that the tests wrote, as a whole and for each boundary.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let directory = banger_cases::directory();
    let record = fs::read_dir(&directory)
        .with_context(|| format!("failed to read {}: run `make test` first", directory.display()))?;
    let mut cases = BTreeSet::new();
    for entry in record {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        cases.extend(text.lines().map(str::to_owned));
    }
    ensure!(
        !cases.is_empty(),
        "{} is empty: run `make test` first",
        directory.display()
    );
    let boundaries: BTreeSet<&str> = cases.iter().filter_map(|case| case.split('/').next()).collect();
    let count = |boundary: &str| {
        cases
            .iter()
            .filter(|case| case.split('/').next() == Some(boundary))
            .count()
    };
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let figure = boundaries.iter().fold(
        Figure::of("security.cases", &[cases.len() as f64]),
        |figure, boundary| figure.phase(boundary, count(boundary) as f64),
    );
    Ok(vec![figure])
}
