//! A connection to an agent that speaks another protocol than HTTP from now on.

use banger_wire::Switched;
use tokio::net::UnixStream;

/// Such a connection, and what came with the agent's answer.
pub type AgentStream = Switched<UnixStream>;
