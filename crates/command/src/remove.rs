//! Removing the VM of a command that ends.

use banger_api::VmWork;

use crate::connection;
use crate::failure::Failure;

/// Removes a VM, whatever work it has, and gives what became of that. The daemon may be another one than the VM was made by, and
/// that the VM is gone already is no failure.
pub async fn remove(name: &str) -> Result<Option<VmWork>, Failure> {
    let client = connection::connect().await?;
    match client.delete_vm(name, true).await.map_err(Failure::from) {
        Ok(work) => Ok(Some(work)),
        Err(failure) if failure.is_absence() => Ok(None),
        Err(failure) => Err(failure),
    }
}
