//! Holding a VM that goes with its command: at the daemon that runs, and at each that follows it.

use std::time::Duration;

use banger_model::ErrorCode;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::ClientError;
use crate::routes::Hold;

/// The pause before the next attempt when no daemon can be started. A new daemon waits 30 s for the commands of the VMs that it found.
const BREATH: Duration = Duration::from_secs(1);

/// A VM that is held until this is dropped, or this program ends.
#[derive(Debug)]
pub struct Held(JoinHandle<()>);

impl Held {
    /// Holds a VM. Whenever its daemon has ended, `connect` gives a client of the next one.
    ///
    /// # Errors
    /// When the VM is not one that goes with its command, or is not there.
    pub async fn of<E, F>(
        client: &Client,
        name: &str,
        connect: impl Fn() -> F + Send + 'static,
    ) -> Result<Self, ClientError>
    where
        F: Future<Output = Result<Client, E>> + Send + 'static,
        E: Send + 'static,
    {
        let hold = client.hold_vm(name).await?;
        Ok(Self(tokio::spawn(keep(hold, name.to_owned(), connect))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Holds the VM again whenever its daemon has ended, until there is no such VM.
async fn keep<E, F>(mut hold: Hold, name: String, connect: impl Fn() -> F)
where
    F: Future<Output = Result<Client, E>>,
{
    loop {
        hold.ended().await;
        hold = loop {
            if let Ok(client) = connect().await {
                match client.hold_vm(&name).await {
                    Ok(hold) => break hold,
                    Err(ClientError::Api(body)) if body.code == ErrorCode::NotFound => return,
                    Err(_) => {}
                }
            }
            tokio::time::sleep(BREATH).await;
        };
    }
}
