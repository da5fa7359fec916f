//! The way to the agent in a machine: the machine's vsock device.

use std::sync::Arc;

use async_trait::async_trait;
use banger_guest_api::AGENT_PORT;
use banger_guest_link::{Agent, Dial, Unreachable};
use banger_vmm::Machine;
use tokio::net::UnixStream;

#[derive(Debug)]
struct Vsock(Arc<dyn Machine>);

#[async_trait]
impl Dial for Vsock {
    async fn dial(&self) -> Result<UnixStream, Unreachable> {
        Ok(self.0.dial(AGENT_PORT).await?)
    }
}

/// The agent of `machine`, which has said hello.
pub(crate) fn agent(machine: &Arc<dyn Machine>) -> Agent {
    Agent::new(Arc::new(Vsock(Arc::clone(machine))))
}
