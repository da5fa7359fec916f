//! What the connections of a published port have in common.

use std::sync::Arc;
use std::time::Duration;

use banger_guest_api::Connect;

use super::{Counters, Route};

/// How long nothing is accepted after the system had no descriptor for it.
pub(super) const BREATH: Duration = Duration::from_millis(200);

/// Where they go, and what they are counted by.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) route: Route,
    pub(super) connect: Connect,
    pub(super) counters: Arc<Counters>,
}
