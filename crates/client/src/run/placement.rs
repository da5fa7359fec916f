//! Where the repository of a VM is. It belongs to the user that the VM's commands run as.

use std::path::Path;

use banger_api::{Vm, VmCreate};

use crate::client::Client;
use crate::error::ClientError;

/// The label that names a VM's workspace.
pub const WORKSPACE: &str = "banger.workspace";

/// The label that names the repository of this host which was placed there.
pub const REPOSITORY: &str = "banger.repository";

/// Where a repository goes in the guest.
pub const GUEST_PATH: &str = "/root/repo";

/// Lets a VM that is to be made say that the repository at `root` is placed in it.
pub fn place(request: &mut VmCreate, root: &Path) {
    let labels = &mut request.labels;
    labels.insert(WORKSPACE.to_owned(), GUEST_PATH.to_owned());
    labels.insert(REPOSITORY.to_owned(), root.to_string_lossy().into_owned());
}

/// The VMs that have the repository at `root` already, and stay.
///
/// # Errors
/// When the daemon does not list its VMs.
pub async fn others(client: &Client, root: &Path) -> Result<Vec<Vm>, ClientError> {
    let root = root.to_string_lossy();
    let is_other = |vm: &Vm| {
        let known = vm.labels.get(REPOSITORY);
        !vm.removes_on_exit && known.is_some_and(|known| *known == root)
    };
    let mut vms = client.vms().await?;
    vms.retain(is_other);
    Ok(vms)
}
