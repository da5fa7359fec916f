//! Which VMs have a repository.

use std::path::Path;

use banger_api::{REPOSITORY_LABEL, Vm};

use crate::client::Client;
use crate::error::ClientError;

/// The VMs that have the repository at `root` already, and stay.
///
/// # Errors
/// When the daemon does not list its VMs.
pub async fn others(client: &Client, root: &Path) -> Result<Vec<Vm>, ClientError> {
    let root = root.to_string_lossy();
    let is_other = |vm: &Vm| {
        let known = vm.labels.get(REPOSITORY_LABEL);
        !vm.removes_on_exit && known.is_some_and(|known| *known == root)
    };
    let mut vms = client.vms().await?;
    vms.retain(is_other);
    Ok(vms)
}
