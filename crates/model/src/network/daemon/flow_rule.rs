//! What decides about a flow.

use serde::{Deserialize, Serialize};

/// Which part of the packet filter decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowRule {
    /// Allowed: mode `nat`.
    Nat,
    /// Allowed: mode `learn`.
    Learn,
    /// Allowed: an address in the rules.
    Rule,
    /// Allowed: an address that a listed name resolved to.
    Answer,
    /// Another VM.
    Peer,
    /// The host itself.
    Host,
    /// Denied: mode `off`.
    Off,
    /// Denied: not the public Internet.
    Private,
    /// Denied: on a network that the host itself is on.
    Neighbour,
    /// Denied: a resolver other than the gateway.
    Resolver,
    /// Denied: a resolver that answers over HTTPS.
    Doh,
    /// Denied: in no rule.
    Unlisted,
    /// Denied: another's hardware or network address.
    Spoofed,
}
