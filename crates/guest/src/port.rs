//! What listens in the guest.

use serde::{Deserialize, Serialize};

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The address it is bound to, such as `0.0.0.0` or `::1`.
    pub address: String,
}
