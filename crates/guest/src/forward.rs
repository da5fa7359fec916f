//! Ports of the guest that the host serves or has.
//!
//! *The host has a port of the guest*: for each connection it gets, it asks for a tunnel by [`Connect`]. The answer is
//! 101 once the guest is connected, and a failure when the guest refuses.
//!
//! *The guest has a port of the host*: the host asks by [`Listen`] and keeps the stream that it gets. For each connection
//! the guest pushes a token on it, which the host brings back in a [`Take`] to get the tunnel. The port is closed when
//! that stream is. So a guest can only ask for what the host has listened for, on a connection that the host made:
//!
//! ```text
//!  host  ── Listen 5432 ──▶ agent        (101, then tokens)
//!        ◀── 7 ────────────               a program in the guest connected to 127.0.0.1:5432
//!  host  ── Take 7 ───────▶ agent        (101, then the tunnel)
//! ```

use serde::{Deserialize, Serialize};

/// Of what a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Streams.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// Asks for a tunnel to a port on the guest's loopback address: 127.0.0.1, else ::1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Of what the port is.
    pub transport: Transport,
    /// The port.
    pub port: u16,
}

/// Asks the guest to listen at a TCP port on its loopback addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The port. Who asks for the same one again takes the place of the one before.
    pub port: u16,
}

/// Asks for the tunnel to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// What the guest called it.
    pub token: u64,
}
