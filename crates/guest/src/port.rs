//! What listens in the guest.

use serde::{Deserialize, Serialize};

use crate::Transport;

/// The query of [`crate::routes::PORTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortsQuery {
    /// Ask each TCP port whether it speaks HTTP.
    #[serde(default)]
    pub http: bool,
}

/// A socket that takes connections or datagrams.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The address it is bound to, such as `0.0.0.0` or `::1`.
    pub address: String,
    /// Of what the port is.
    #[serde(default)]
    pub transport: Transport,
    /// Who holds it, if that can be seen.
    #[serde(default)]
    pub process: Option<Process>,
    /// What it said to a request of HTTP, if it was asked and speaks that.
    #[serde(default)]
    pub http: Option<Http>,
}

/// A process of the guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name, as `comm` of proc(5) has it.
    pub command: String,
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Http {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// Its `Server` header.
    #[serde(default)]
    pub server: Option<String>,
}
