//! Creating a VM.

use banger_api::{VmCreate, VmCreated};
use banger_client::Client;

use crate::failure::Failure;
use crate::work::shown;

/// Creates a VM and shows progress. An interrupt cancels the work, and nothing is left.
pub async fn create(client: &Client, request: &VmCreate) -> Result<VmCreated, Failure> {
    shown("", async |progress| client.create_vm(request, progress).await).await
}
