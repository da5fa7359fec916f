//! Creating a VM.

use banger_api::{Vm, VmCreate};
use banger_client::Client;

use crate::failure::Failure;
use crate::progress::Display;
use crate::work::interruptible;

/// Creates a VM and shows how it goes. An interrupt cancels it, and nothing is left.
pub async fn create(client: &Client, request: &VmCreate) -> Result<Vm, Failure> {
    let mut display = Display::new("");
    interruptible(async {
        Ok(client
            .create_vm(request, |progress| display.show(&progress))
            .await?)
    })
    .await
}
