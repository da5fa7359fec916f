//! Ports over the API: what listens in a guest, and what is forwarded.

use banger_model::{Forward, Protocol, VmName};
use serde::{Deserialize, Serialize};

/// What listens in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmPort {
    /// Of what the port is.
    pub protocol: Protocol,
    /// The guest's address that it is bound to.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The process that holds it, if that can be seen.
    pub process: Option<GuestProcess>,
    /// What it said when it was asked for HTTP, if it speaks that.
    pub http: Option<HttpGuess>,
    /// Where the host reaches it: an address with a port, or a URL if it speaks HTTP.
    pub link: Option<String>,
    /// Whether a forward can reach it: forwards end at the guest's loopback address.
    pub reachable: bool,
}

/// A process of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GuestProcess {
    /// Its id in the guest.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HttpGuess {
    /// The status of its answer.
    pub status: u16,
    /// Its `Server` header.
    pub server: Option<String>,
}

/// A forward as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmForward {
    /// The VM.
    #[schema(value_type = String)]
    pub vm: VmName,
    /// What is forwarded.
    pub forward: Forward,
    /// Whether it works.
    pub state: ForwardState,
    /// Why it does not.
    pub reason: Option<String>,
    /// Connections, or flows of datagrams, that go on.
    pub open: u64,
    /// Connections that there were since it began to listen.
    pub connections: u64,
    /// Connections that the other side did not take.
    pub refused: u64,
}

/// Whether a forward works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardState {
    /// The VM does not run.
    Stopped,
    /// It is being set up in the guest.
    Starting,
    /// It takes connections.
    Listening,
    /// It does not, for a reason that is told.
    Failed,
}

impl ForwardState {
    /// The state as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Listening => "listening",
            Self::Failed => "failed",
        }
    }
}

/// Adds a forward to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAdd {
    /// What is forwarded.
    pub forward: Forward,
    /// Others than this host may connect: an address beyond loopback needs this.
    #[serde(default)]
    pub open: bool,
}

/// Removes forwards from a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardRemove {
    /// This one. A host port of 0 names the only one of that guest port.
    One(Forward),
    /// All of them.
    All,
}
