//! Removes the VM of a command that ended.

use banger_api::VmWork;

use crate::connection;
use crate::failure::Failure;

/// Removes a VM even if it has unsaved work, and returns what happened to that work. The daemon may have been replaced
/// since the VM was created. A VM that no longer exists is no error.
pub async fn remove(name: &str) -> Result<Option<VmWork>, Failure> {
    let client = connection::connect().await?;
    match client.delete_vm(name, true).await.map_err(Failure::from) {
        Ok(work) => Ok(Some(work)),
        Err(failure) if failure.is_absence() => Ok(None),
        Err(failure) => Err(failure),
    }
}
