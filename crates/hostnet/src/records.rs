//! What is kept of VMs' networks beyond the daemon's life.

use std::error::Error;
use std::fmt::Debug;

use banger_model::VmId;
use banger_model::network::{Allow, Slot};

/// Why something was not kept.
pub type Unkept = Box<dyn Error + Send + Sync>;

/// Who keeps it.
pub trait Records: Debug + Send + Sync {
    /// The slot of a VM, which it keeps until it is deleted; chosen now if it has none. `Ok(None)` when there are `capacity` VMs
    /// with one.
    ///
    /// # Errors
    /// It could not be read or kept.
    fn slot(&self, vm: VmId, capacity: u16) -> Result<Option<Slot>, Unkept>;

    /// Keeps rules that a VM was found to need.
    ///
    /// # Errors
    /// They could not be kept.
    fn learn(&self, vm: VmId, rules: &[Allow]) -> Result<(), Unkept>;
}
