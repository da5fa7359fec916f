//! Where the repository of a VM is, and whose it is there.

/// The label that names a VM's workspace, for `vm shell`.
pub(super) const WORKSPACE: &str = "banger.workspace";

/// The user that owns a workspace, by number: not every image has names.
pub(super) const ROOT: &str = "0";

/// Where a repository goes in the guest.
pub(super) const GUEST_PATH: &str = "/root/repo";
