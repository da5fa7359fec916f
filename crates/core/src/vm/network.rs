//! What the network is told of the configuration, and what it keeps in the database.

use std::sync::Arc;

use banger_hostnet::{Records, Resolver, Settings, Unkept};
use banger_model::VmId;
use banger_model::network::{Allow, Slot};
use banger_settings::Config;
use banger_state::Database;

use super::Context;

/// What the configuration says of the network.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        choice: config.network,
        subnet: config.subnet,
        pool: config.tap_pool_size,
        resolver: Resolver {
            upstreams: config.upstreams(),
            listen: config.dns_listen,
        },
    }
}

/// Slots and learnt rules are rows of the database.
#[derive(Debug)]
pub(super) struct Kept(Arc<Database>);

impl Records for Kept {
    fn slot(&self, vm: VmId, capacity: u16) -> Result<Option<Slot>, Unkept> {
        Ok(self.0.slot(vm, capacity)?)
    }

    fn learn(&self, vm: VmId, rules: &[Allow]) -> Result<(), Unkept> {
        Ok(self.0.learn(vm, rules)?)
    }
}

impl Context {
    /// What the network keeps of VMs.
    pub(super) fn kept(&self) -> Kept {
        Kept(Arc::clone(&self.database))
    }

    /// Takes note of what VMs reach from now on. Call it in the runtime, once.
    pub fn listen_for_flows(&self) {
        let records: Arc<dyn Records> = Arc::new(self.kept());
        self.network.listen(&records);
    }
}
