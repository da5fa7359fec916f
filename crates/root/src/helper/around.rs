//! What is around the host: its own addresses and networks, which VMs reach only when they are named.

use std::collections::BTreeSet;

use banger_model::network::{Cidr, Surroundings};
use banger_netplan::filter;

use super::budget::MAX_REFUSED;
use super::{Helper, Refusal};
use crate::plan::REFUSED;

impl Helper {
    /// Lets the filter refuse what is around the host now.
    ///
    /// # Errors
    /// The host refuses the change; it is in the filter with the next rebuild.
    pub fn look_around(&mut self, seen: Surroundings) -> Result<(), Refusal> {
        let embedded = self.plan.around.embedded.clone();
        self.surround(Surroundings { embedded, ..seen })
    }

    /// The same for what the owner's daemon found out beside that.
    pub(super) fn refuse(&mut self, embedded: BTreeSet<Cidr>) -> Result<(), Refusal> {
        if embedded.len() > MAX_REFUSED {
            return Err(Refusal::Budget("refused blocks", MAX_REFUSED));
        }
        self.store.write(REFUSED, &embedded, false)?;
        let around = self.plan.around.clone();
        self.surround(Surroundings { embedded, ..around })
    }

    fn surround(&mut self, around: Surroundings) -> Result<(), Refusal> {
        if self.plan.around == around {
            return Ok(());
        }
        let before = filter::all_elements(self.owner, &self.plan);
        self.plan.around = around;
        let script = filter::change(self.owner, &before, &filter::all_elements(self.owner, &self.plan));
        match self.plan.prepared {
            Some(_) => Ok(self.load("refuse what is around this host", script)?),
            None => Ok(()),
        }
    }
}
