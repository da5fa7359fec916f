//! How a forward begins.

use banger_model::Forward;

use crate::error::Error;
use crate::route::Route;
use crate::running::Running;
use crate::{publish, reverse};

/// Begins a forward. What is given back has the port that it got, if it asked for a free one. Call it in the runtime.
///
/// # Errors
/// When this host does not give the port.
pub fn begin(route: &Route, forward: Forward) -> Result<Running, Error> {
    match forward {
        Forward::Publish(publish) => publish::begin(route, publish),
        Forward::Reverse(reverse) => Ok(reverse::begin(route, reverse)),
    }
}
