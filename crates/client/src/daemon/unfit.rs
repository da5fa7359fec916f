//! Daemons that run and should be others.

use std::fmt;

use banger_api::Version;

use crate::client::Client;

/// A daemon that should be another one.
#[derive(Debug)]
pub struct Unfit {
    /// A client of it.
    pub client: Client,
    /// Which it is.
    pub version: Version,
    /// Why.
    pub why: Why,
}

/// Why a daemon should be another one; in a sentence, behind "bangerd must be restarted,".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is older than this program.
    Older {
        /// Its version.
        version: String,
    },
    /// It does not have this group of ours, of /dev/kvm.
    LacksGroup(u32),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { version } => write!(f, "which is version {version} and older than this banger"),
            Self::LacksGroup(group) => {
                write!(f, "which does not have your group {group}, of /dev/kvm")
            }
        }
    }
}
