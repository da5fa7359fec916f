//! Who makes the network.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who makes the network that a VM's card is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The root helper, on the host.
    #[default]
    Helper,
    /// This user, in namespaces of their own.
    Rootless,
}

impl Way {
    /// The way as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Helper => "helper",
            Self::Rootless => "rootless",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
