//! Lists the images that can be pulled from catalogs.

use banger_api::AvailableImage;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::progress::bytes;

use crate::available;

const AVAILABLE: Listing<AvailableImage> = Listing {
    keys: &[
        Key {
            name: "name",
            values: |available| vec![available.image.name.to_string()],
        },
        Key {
            name: "catalog",
            values: |available| vec![available.catalog.to_string()],
        },
        Key {
            name: "status",
            values: |available| vec![available::presence(available.here).to_owned()],
        },
        Key {
            name: "os",
            values: |available| available.image.os.iter().cloned().collect(),
        },
        Key {
            name: "kernel",
            values: |available| available.image.kernel.iter().map(ToString::to_string).collect(),
        },
        Key {
            name: "arch",
            values: |available| vec![available.image.arch.clone()],
        },
    ],
    header: &[
        "NAME",
        "CATALOG",
        "OS",
        "KERNEL",
        "ARCH",
        "SIZE",
        "STATUS",
        "DESCRIPTION",
    ],
    name: |available| available.image.name.to_string(),
    row,
};

pub(super) async fn list(client: &Client, options: Options) -> Result<i32, Failure> {
    let plan = options.plan(AVAILABLE)?;
    let available = client.available_images().await?;
    available::list(&plan, available.images, available.failures)
}

fn row(available: &AvailableImage) -> Vec<String> {
    let image = &available.image;
    vec![
        image.name.to_string(),
        available.catalog.to_string(),
        image.os.clone().unwrap_or_default(),
        image.kernel.as_ref().map(ToString::to_string).unwrap_or_default(),
        image.arch.clone(),
        bytes(image.bytes),
        available::presence(available.here).to_owned(),
        image.description.clone().unwrap_or_default(),
    ]
}
