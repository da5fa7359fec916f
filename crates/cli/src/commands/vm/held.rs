//! Holding a VM that goes with its command (`vm run --rm`): at the daemon that runs, and at each that follows it.

use std::time::Duration;

use banger_client::{Client, Hold};
use banger_command::connection;
use banger_command::failure::Failure;

/// The pause before the next attempt when no daemon can be started. A new daemon waits 30 s for the commands of the VMs that it found.
const BREATH: Duration = Duration::from_secs(1);

/// A VM that is held until this is dropped, or this program ends.
#[derive(Debug)]
pub(super) struct Held(tokio::task::JoinHandle<()>);

impl Held {
    /// Holds a VM.
    pub(super) async fn of(client: &Client, name: &str) -> Result<Self, Failure> {
        let hold = client.hold_vm(name).await?;
        Ok(Self(tokio::spawn(keep(hold, name.to_owned()))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Holds the VM again whenever its daemon has ended, until there is no such VM.
async fn keep(mut hold: Hold, name: String) {
    loop {
        hold.ended().await;
        hold = loop {
            let again = async { Ok::<_, Failure>(connection::connect().await?.hold_vm(&name).await?) };
            match again.await {
                Ok(hold) => break hold,
                Err(failure) if failure.is_absence() => return,
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        };
    }
}
