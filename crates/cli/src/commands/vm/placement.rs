//! Where the repository of a VM is. It belongs to the user that the VM's commands run as.

/// The label that names a VM's workspace, for `vm shell`.
pub(super) const WORKSPACE: &str = "banger.workspace";

/// The label that names the repository of this host which `vm run` placed there.
pub(super) const REPOSITORY: &str = "banger.repository";

/// Where a repository goes in the guest.
pub(super) const GUEST_PATH: &str = "/root/repo";
