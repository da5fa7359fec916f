//! The user's configuration, as `bangerd config` prints it for `banger config`.

use serde::{Deserialize, Serialize};

/// A key of config.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Its name, with the tables that it is in: `vm_defaults.memory`.
    pub key: String,
    /// The value of the key; null if the key has no value.
    pub value: serde_json::Value,
    /// Where the value was said.
    pub source: ConfigSource,
}

/// Where a value was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigSource {
    /// Nowhere.
    #[serde(rename = "default")]
    Default,
    /// In the file.
    #[serde(rename = "config.toml")]
    File,
    /// In an environment variable.
    #[serde(rename = "environment")]
    Environment,
}

impl ConfigSource {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "config.toml",
            Self::Environment => "environment",
        }
    }
}
