//! The store of kernels, as its commands see it.

use banger_api::Kernel;
use banger_client::{Client, ClientError};
use banger_command::list::Key;
use banger_command::progress::bytes;

use crate::stored::{Stored, yes};

impl Stored for Kernel {
    const KIND: &'static str = "kernel";

    const COLUMNS: &'static [&'static str] = &["NAME", "VERSION", "SIZE", "SUPPORTS", "VMS", "DEFAULT"];

    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "name",
            values: |kernel| vec![kernel.name.to_string()],
        },
        Key {
            name: "version",
            values: |kernel| vec![kernel.version.clone()],
        },
        Key {
            name: "supports",
            values: |kernel| kernel.supports.clone(),
        },
        Key {
            name: "vm",
            values: |kernel| kernel.used_by.clone(),
        },
        Key {
            name: "default",
            values: |kernel| vec![kernel.default.to_string()],
        },
    ];

    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn is_default(&self) -> bool {
        self.default
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.version.clone(),
            bytes(self.bytes),
            self.supports.join(","),
            self.used_by.len().to_string(),
            yes(self.default),
        ]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.to_string()),
            ("version", self.version.clone()),
            ("source", self.source.clone()),
            ("supports", self.supports.join(", ")),
            ("append", self.append.join(" ")),
            (
                "max vCPUs",
                self.max_vcpus.map(|most| most.to_string()).unwrap_or_default(),
            ),
            ("modules", self.modules.join(" ")),
            (
                "own initrd",
                if self.initrd {
                    "yes".to_owned()
                } else {
                    String::new()
                },
            ),
            ("size", bytes(self.bytes)),
            ("used by", self.used_by.join(", ")),
        ]
    }

    fn summary(&self) -> String {
        format!(
            "{} from {}, {} modules, {}",
            self.version,
            self.source,
            self.modules.len(),
            bytes(self.bytes)
        )
    }

    async fn all(client: &Client) -> Result<Vec<Self>, ClientError> {
        client.kernels().await
    }

    async fn get(client: &Client, name: &str) -> Result<Self, ClientError> {
        client.kernel(name).await
    }

    async fn make_default(client: &Client, name: &str) -> Result<Self, ClientError> {
        client.set_default_kernel(name).await
    }

    async fn delete(client: &Client, name: &str) -> Result<(), ClientError> {
        client.delete_kernel(name).await
    }
}
