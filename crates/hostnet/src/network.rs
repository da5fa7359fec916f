//! The network, as the daemon holds it.

use std::sync::{Arc, Mutex};

use banger_api::Paths;

use crate::around::Around;
use crate::egress::Egress;
use crate::helper::Helper;
use crate::names::{Names, Serving};

/// The network. Its calls block for milliseconds.
#[derive(Debug)]
pub struct Network {
    pub(crate) helper: Arc<Helper>,
    pub(crate) names: Arc<Names>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) around: Arc<Around>,
    /// The resolver, once there is a network. Who prepares one holds this.
    pub(crate) serving: Mutex<Option<Serving>>,
}

impl Network {
    /// The network of the user who runs this. A daemon whose directories are elsewhere than by default shares no helper with
    /// the default one: both would give the same addresses.
    pub fn of_env(paths: &Paths) -> Self {
        let is_elsewhere = std::env::var_os("BANGER_HOME").is_some_and(|home| !home.is_empty());
        let helper = Arc::new(Helper::new(is_elsewhere, paths));
        let egress = Arc::<Egress>::default();
        let names = Arc::new(Names::new(Arc::clone(&helper), Arc::clone(&egress)));
        Self {
            around: Arc::new(Around::new(Arc::clone(&names), Arc::clone(&helper))),
            names,
            egress,
            helper,
            serving: Mutex::default(),
        }
    }

    /// What VMs reached and were refused.
    pub fn egress(&self) -> &Egress {
        &self.egress
    }
}
