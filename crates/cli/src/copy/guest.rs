//! The guest of a VM, through the daemon's API.

use banger_api::stream::{FilesDone, OfDirectory, PutFiles};
use banger_client::Client;
use banger_command::connection;
use banger_command::failure::Failure;
use banger_wire::files::{Listing, PutStream};

/// Maximum number of daemons that end while they are asked for their version.
const MOST_DAEMONS: usize = 3;

/// The guest of a VM.
pub(crate) struct Guest {
    client: Client,
    vm: String,
    /// The process id of the daemon, to detect a new daemon.
    daemon: Option<u32>,
}

impl Guest {
    /// The guest of a VM, for a single copy.
    pub(crate) fn once(client: &Client, vm: &str) -> Self {
        Self {
            client: client.clone(),
            vm: vm.to_owned(),
            daemon: None,
        }
    }

    /// The guest of a VM, across restarts of the daemon. Starts a daemon if none is running.
    pub(crate) async fn find(vm: &str) -> Result<Self, Failure> {
        let client = connection::connect().await?;
        let daemon = Some(client.version().await?.pid);
        let vm = vm.to_owned();
        Ok(Self { client, vm, daemon })
    }
}

impl banger_transfer::GuestFiles for Guest {
    type Error = Failure;

    async fn put_files(&self, put: &PutFiles) -> Result<PutStream, Failure> {
        Ok(self.client.put_files(&self.vm, put).await?)
    }

    async fn list_files(&self, of: &OfDirectory) -> Result<Listing, Failure> {
        Ok(self.client.list_files(&self.vm, of).await?)
    }

    async fn remove_files(&self, of: &OfDirectory, names: Vec<u8>) -> Result<FilesDone, Failure> {
        Ok(self.client.remove_files(&self.vm, of, names).await?)
    }

    async fn look_again(&mut self) -> Result<bool, Failure> {
        for attempt in 1.. {
            let client = connection::connect().await?;
            match client.version().await {
                Ok(version) => {
                    let is_another = self.daemon.replace(version.pid) != Some(version.pid);
                    self.client = client;
                    return Ok(is_another);
                }
                // This daemon has ended as well.
                Err(error) if attempt == MOST_DAEMONS => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(false)
    }
}
