//! How a VM is stored.

use banger_model::ImageConfig;
use banger_vmm::MachineRecord;
use serde::{Deserialize, Serialize};

use super::state::Facts;

/// A VM as it is stored.
pub(crate) type VmRow = banger_state::VmRow<ImageRef>;

/// A machine as it is stored.
pub(crate) type MachineRow = banger_state::MachineRow<MachineRecord, Facts>;

/// The image generation that a VM boots. Where its layers are, the store tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRef {
    /// The generation's id.
    pub(crate) id: String,
    /// Whether VMs of it have a second writable disk at `/root`.
    pub(crate) work: bool,
    /// What its maker says of how to run it.
    #[serde(default)]
    pub(crate) config: ImageConfig,
}
