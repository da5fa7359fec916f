//! What there is to pull from catalogs.

use banger_api::{CatalogFailure, Presence};
use banger_command::exit;
use banger_command::failure::Failure;
use banger_command::list::Plan;
use serde::Serialize;

/// Lists what can be pulled. Catalogs that cannot be read are reported, and do not hide the others.
pub(crate) fn list<T: Serialize>(
    plan: &Plan<T>,
    offered: Vec<T>,
    failures: Vec<CatalogFailure>,
) -> Result<i32, Failure> {
    plan.print(offered)?;
    let mut code = exit::OK;
    for failure in failures {
        code = Failure::from(failure.error).report();
    }
    Ok(code)
}

/// The state of a catalog's entry on this host, in words.
pub(crate) fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Absent => "",
        Presence::Here => "pulled",
        Presence::Another => "name in use",
        Presence::Foreign => "other platform",
    }
}
