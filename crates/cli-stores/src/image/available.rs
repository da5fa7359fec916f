//! Lists the images that can be pulled from catalogs.

use banger_api::AvailableImage;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::bytes;
use banger_command::{exit, print};

use crate::kernel::presence;

/// Lists what can be pulled. Catalogs that cannot be read are reported, and do not hide the others.
pub(super) async fn list(client: &Client, json: bool) -> Result<i32, Failure> {
    let available = client.available_images().await?;
    if json {
        print::json(&available.images)?;
    } else {
        let rows = available.images.iter().map(row);
        let header = [
            "NAME",
            "CATALOG",
            "OS",
            "KERNEL",
            "ARCH",
            "SIZE",
            "STATUS",
            "DESCRIPTION",
        ];
        print::table(&header, rows);
    }
    let mut code = exit::OK;
    for failure in available.failures {
        code = Failure::from(failure.error).report();
    }
    Ok(code)
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
        presence(available.here).to_owned(),
        image.description.clone().unwrap_or_default(),
    ]
}
