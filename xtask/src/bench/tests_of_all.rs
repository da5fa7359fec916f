//! How long the tests take, as their last runs recorded it: `make test-quick` and `make test`.

use anyhow::Result;

use super::figure::Figure;
use crate::testing::recorded;

pub(super) fn measure_quick() -> Result<Vec<Figure>> {
    one("test.quick_s")
}

pub(super) fn measure_full() -> Result<Vec<Figure>> {
    one("test.full_s")
}

fn one(name: &str) -> Result<Vec<Figure>> {
    let record = recorded(name)?;
    Ok(vec![Figure::of(name, &[record.seconds]).at(record.commit)])
}
