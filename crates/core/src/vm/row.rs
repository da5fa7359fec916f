//! How a VM is stored.

use banger_model::ImageConfig;
use serde::{Deserialize, Serialize};

/// A VM as it is stored.
pub(crate) type VmRow = banger_state::VmRow<ImageRef>;

/// The image generation that a VM boots. Where its layers are, the store tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The generation's id.
    pub id: String,
    /// Whether VMs of it have a second writable disk at `/root`.
    pub work: bool,
    /// What its maker says of how to run it.
    #[serde(default)]
    pub config: ImageConfig,
}
