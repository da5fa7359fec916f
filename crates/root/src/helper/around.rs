//! What is around the host: its own addresses and networks, which VMs reach only when they are named.

use banger_model::network::{Surroundings, filter};

use super::{Helper, Refusal};

impl Helper {
    /// Lets the filter refuse what is around the host now.
    ///
    /// # Errors
    /// The host refuses the change; it is in the filter with the next rebuild.
    pub fn look_around(&mut self, around: Surroundings) -> Result<(), Refusal> {
        if self.plan.around == around {
            return Ok(());
        }
        let before = filter::all_elements(self.owner, &self.plan);
        self.plan.around = around;
        let after = filter::all_elements(self.owner, &self.plan);
        let script = filter::change(self.owner, &before, &after);
        if self.plan.prepared.is_none() {
            return Ok(());
        }
        Ok(self.load("refuse what is on networks of this host", script)?)
    }
}
