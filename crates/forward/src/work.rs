//! What the connections of a published port have in common.

use std::sync::Arc;
use std::time::Duration;

use banger_guest_api::Connect;

use crate::route::Route;
use crate::watched::Counters;

/// How long nothing is accepted after the system had no descriptor for it.
pub(crate) const BREATH: Duration = Duration::from_millis(200);

/// Where they go, and what they are counted by.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) route: Route,
    pub(crate) connect: Connect,
    pub(crate) counters: Arc<Counters>,
}
