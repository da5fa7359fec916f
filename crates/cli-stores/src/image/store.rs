//! The store of images, as its commands see it.

use banger_api::Image;
use banger_client::{Client, ClientError};
use banger_command::list::Key;
use banger_command::print;
use banger_command::progress::bytes;
use banger_model::ImageConfig;

use crate::stored::{Stored, yes};

impl Stored for Image {
    const KIND: &'static str = "image";

    const COLUMNS: &'static [&'static str] = &["NAME", "OS", "INIT", "SIZE", "AGE", "VMS", "DEFAULT"];

    const KEYS: &'static [Key<Self>] = &[
        Key {
            name: "name",
            values: |image| vec![image.name.to_string()],
        },
        Key {
            name: "os",
            values: |image| image.os.clone().into_iter().collect(),
        },
        Key {
            name: "init",
            values: |image| image.init.clone().into_iter().collect(),
        },
        Key {
            name: "kernel",
            values: |image| image.kernel.iter().map(ToString::to_string).collect(),
        },
        Key {
            name: "reference",
            values: |image| {
                image
                    .origin
                    .iter()
                    .map(|origin| origin.reference.clone())
                    .collect()
            },
        },
        Key {
            name: "vm",
            values: |image| image.used_by.clone(),
        },
        Key {
            name: "default",
            values: |image| vec![image.default.to_string()],
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
            self.os.clone().unwrap_or_else(|| "-".to_owned()),
            self.init.clone().unwrap_or_else(|| "-".to_owned()),
            bytes(self.bytes),
            print::age(&self.created),
            self.used_by.len().to_string(),
            yes(self.default),
        ]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        vec![
            ("name", self.name.to_string()),
            ("os", self.os.clone().unwrap_or_default()),
            ("init", self.init.clone().unwrap_or_default()),
            (
                "kernel",
                self.kernel.as_ref().map(ToString::to_string).unwrap_or_default(),
            ),
            ("layers", layers.join(" ")),
            ("pulled from", origin(self)),
            (
                "entry point",
                self.config.as_ref().map(entry_point).unwrap_or_default(),
            ),
            (
                "work seed",
                self.work_seed
                    .as_ref()
                    .map(|path| path.display().to_string())
                    .unwrap_or_default(),
            ),
            (
                "files",
                if self.managed {
                    "in banger's store"
                } else {
                    "at their registered path"
                }
                .to_owned(),
            ),
            ("size", bytes(self.bytes)),
            ("created", print::ago(&self.created)),
            ("used by", self.used_by.join(", ")),
        ]
    }

    fn summary(&self) -> String {
        let os = self.os.as_deref().unwrap_or("no os-release");
        let init = self.init.as_deref().unwrap_or("no init (the agent is the init)");
        format!("{os}, {init}, {}", bytes(self.bytes))
    }

    async fn all(client: &Client) -> Result<Vec<Self>, ClientError> {
        client.images().await
    }

    async fn get(client: &Client, name: &str) -> Result<Self, ClientError> {
        client.image(name).await
    }

    async fn make_default(client: &Client, name: &str) -> Result<Self, ClientError> {
        client.set_default_image(name).await
    }

    async fn delete(client: &Client, name: &str) -> Result<(), ClientError> {
        client.delete_image(name).await
    }
}

fn origin(image: &Image) -> String {
    let origin = image.origin.as_ref();
    origin
        .map(|origin| match &origin.digest {
            Some(digest) => format!("{} ({}, {digest})", origin.reference, origin.platform),
            None => format!("{} ({})", origin.reference, origin.platform),
        })
        .unwrap_or_default()
}

/// The entry point of the image, in one line.
fn entry_point(config: &ImageConfig) -> String {
    let words: Vec<_> = config.entrypoint.iter().chain(&config.cmd).cloned().collect();
    words.join(" ")
}
