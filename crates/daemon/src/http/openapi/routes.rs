//! Every route of the API, as a table.

mod stores;
mod vms;

use utoipa::openapi::HttpMethod;

/// How a route answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Out {
    Json(&'static str),
    Events(&'static str),
    /// Events that end with the VM.
    Unended,
    Frames,
    /// A connection to the agent.
    Handover,
    Text,
    /// JSON of a type that the agent and the daemon share.
    Unnamed,
    Nothing(&'static str),
}

pub(super) type Route = (HttpMethod, &'static str, &'static str, Option<&'static str>, Out);
/// Method, path, summary, body in, body out.
pub(super) fn routes() -> Vec<Route> {
    [stores::routes(), vms::routes()].concat()
}
