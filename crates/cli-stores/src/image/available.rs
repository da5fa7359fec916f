//! Lists the images that can be pulled from catalogs.

use banger_api::AvailableImage;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::bytes;

use crate::available;

const COLUMNS: [&str; 8] = [
    "NAME",
    "CATALOG",
    "OS",
    "KERNEL",
    "ARCH",
    "SIZE",
    "STATUS",
    "DESCRIPTION",
];

pub(super) async fn list(client: &Client, json: bool) -> Result<i32, Failure> {
    let available = client.available_images().await?;
    available::list(&available.images, available.failures, json, &COLUMNS, row)
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
