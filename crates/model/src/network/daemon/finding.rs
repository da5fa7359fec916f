//! What is not as it should be, for people.

use serde::{Deserialize, Serialize};

/// A difference between the host and the plan, or something of another's that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is not as it should be.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}
