//! How the agent of one guest is reached.

use std::fmt;

use async_trait::async_trait;
use tokio::net::UnixStream;

/// Why an agent is not reached, as its way there says it.
pub type Unreachable = Box<dyn std::error::Error + Send + Sync>;

/// Connects to the agent of one guest.
#[async_trait]
pub trait Dial: fmt::Debug + Send + Sync {
    /// A new connection to the agent, which serves HTTP on it. The agent has said hello: one that is dialed before can wedge
    /// the vsock device of QEMU.
    ///
    /// # Errors
    /// When the guest's machine has ended, or takes no connections.
    async fn dial(&self) -> Result<UnixStream, Unreachable>;
}
