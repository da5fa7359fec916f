//! The VM whose workspaces are placed, pulled and looked at.

use std::path::PathBuf;

use banger_request::Reporter;

use crate::placed::Records;
use crate::target::Target;

/// Where workspaces are placed.
#[derive(Debug, Clone)]
pub struct Place {
    /// The VM's name.
    pub vm: String,
    /// Its guest, and whose the workspaces are.
    pub target: Target,
    /// What was placed in it.
    pub records: Records,
    /// What was placed in other VMs: a VM that was renamed keeps its references.
    pub others: Vec<Records>,
    /// Whether its git makes this user's commits.
    pub git_identity: bool,
    /// Where we may write meanwhile.
    pub scratch: PathBuf,
    /// Whom to tell how far it is.
    pub say: Reporter,
}
