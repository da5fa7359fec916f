//! What VMs reached and were refused, over the API.

use std::net::IpAddr;

use banger_model::network::{Allow, FlowRule, NetMode};
use serde::{Deserialize, Serialize};

/// The name of server-sent events that carry a [`VmFlow`].
pub const EVENT_FLOW: &str = "flow";
/// The name of server-sent events that carry an [`EgressGap`].
pub const EVENT_GAP: &str = "gap";

/// Flows of a VM that went to the same place and met the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmFlow {
    /// Whether they went on.
    pub verdict: FlowVerdict,
    /// Where to: the name that the VM asked for, `NAME.vm`, `host`, an address, or `-` for what is no IP.
    pub target: String,
    /// The address that it was at last; none for a question to the resolver.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The port, for TCP and UDP.
    pub port: Option<u16>,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, another protocol's number (IANA), or `dns` for a name that the resolver refused.
    pub protocol: String,
    /// What decided.
    pub why: FlowRule,
    /// The rule of the VM that allowed them, where it was one.
    #[schema(value_type = Option<String>)]
    pub rule: Option<Allow>,
    /// The narrowest rule that would allow what was denied.
    #[schema(value_type = Option<String>)]
    pub allow: Option<Allow>,
    /// How many there were. The packet filter tells of at most twenty a second of a VM.
    pub count: u64,
    /// When the first one was, as RFC 3339.
    pub first: String,
    /// When the last one was, as RFC 3339.
    pub last: String,
}

/// What became of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowVerdict {
    /// It went on.
    Allowed,
    /// It was refused.
    Denied,
}

impl FlowVerdict {
    /// The verdict as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }
}

/// The query of a VM's flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EgressQuery {
    /// In place of a list, events of what there is and of all that comes, until the VM is deleted or the client leaves.
    pub follow: bool,
}

/// Something is missing in a stream of flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EgressGap {
    /// How many events, for a client that reads too slowly; none while nobody could tell of flows.
    pub missed: Option<u64>,
}

/// What a VM reached in mode `learn`, as rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmLearned {
    /// The rules that would have been enough.
    #[schema(value_type = Vec<String>)]
    pub rules: Vec<Allow>,
    /// Whether these are all; a VM has room for 256.
    pub complete: bool,
    /// How much the VM reaches now: more is learnt while it is `learn`.
    pub mode: NetMode,
}
