//! How much an image may be, and how it is pulled.

use banger_bounded::Budget;
use banger_oci::{Platform, RegistryOptions};

/// How an image is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// For which platform.
    pub platform: Platform,
    /// How registries are asked.
    pub registry: RegistryOptions,
    /// The most bytes that an image may unpack to.
    pub most_bytes: u64,
    /// The most entries that an image may have.
    pub most_entries: u64,
    /// The most bytes that each byte of an archive may unpack to, beyond some gigabytes.
    pub most_ratio: u64,
    /// The largest window or dictionary that unpacking may need.
    pub most_window: u64,
}

impl PullOptions {
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            most: self.most_bytes,
            ratio: self.most_ratio,
            window: self.most_window,
        }
    }
}

impl Default for PullOptions {
    fn default() -> Self {
        let Budget { most, ratio, window } = Budget::default();
        Self {
            platform: Platform::default(),
            registry: RegistryOptions::default(),
            most_bytes: most,
            most_entries: 4_000_000,
            most_ratio: ratio,
            most_window: window,
        }
    }
}

/// Is told of a layer that comes: its digest, the bytes so far, and in all. Called by several threads.
pub type PullProgress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);
