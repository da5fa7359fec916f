//! Which VMs have a repository.

use std::path::Path;

use banger_api::{REPOSITORY_LABEL, Vm};
use banger_model::Phase;

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
        !vm.removes_on_exit && !vm.unfinished && known.is_some_and(|known| *known == root)
    };
    let mut vms = client.vms().await?;
    vms.retain(is_other);
    Ok(vms)
}

/// Which of the [`others`] is meant by whoever wants no second one: the only one that runs, else the only one there is. `Ok(None)`
/// when there is none yet.
///
/// # Errors
/// With the names of all that it may be.
pub fn reused(others: Vec<Vm>) -> Result<Option<Vm>, Vec<String>> {
    let running = others.iter().filter(|vm| vm.phase == Phase::Running).count();
    let mut meant = others;
    if running > 0 {
        meant.retain(|vm| vm.phase == Phase::Running);
    }
    match meant.len() {
        0 | 1 => Ok(meant.pop()),
        _ => Err(meant.into_iter().map(|vm| vm.name.to_string()).collect()),
    }
}
