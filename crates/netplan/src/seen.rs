//! What the root helper saw, for the daemon to judge: it is put into words where nothing is privileged.

use std::collections::BTreeSet;

use banger_model::network::Slot;
use serde::{Deserialize, Serialize};

use crate::filter::Element;

/// The host beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Whose network it is.
    pub owner: u32,
    /// What is still to do, in words.
    pub steps: Vec<String>,
    /// What the sets and maps of the packet filter shall hold.
    pub elements: BTreeSet<Element>,
    /// The owner's tables as `nft` listed them when they had just been loaded.
    pub loaded: String,
    /// The same now, and what others hook into forwarding; none where there is no network.
    pub listing: Option<String>,
    /// Why the host does not find VMs by name, if it is known not to.
    pub unresolved: Option<String>,
    /// Why the network has no addresses, if it has none, and whether it is because of the range that root gave.
    pub withdrawn: Option<(String, bool)>,
}

/// A packet that the filter logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The VM whose TAP it came by, where that is known.
    pub port: Option<Slot>,
    /// What the filter's rule says.
    pub prefix: Vec<u8>,
    /// Its first bytes.
    pub packet: Vec<u8>,
}
