//! What kernels there are to pull from catalogs.

use banger_api::AvailableKernel;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::bytes;

use crate::available;

const COLUMNS: [&str; 8] = [
    "NAME",
    "CATALOG",
    "VERSION",
    "DISTRO",
    "ARCH",
    "SIZE",
    "STATUS",
    "DESCRIPTION",
];

pub(super) async fn list(client: &Client, json: bool) -> Result<i32, Failure> {
    let available = client.available_kernels().await?;
    available::list(&available.kernels, available.failures, json, &COLUMNS, row)
}

fn row(available: &AvailableKernel) -> Vec<String> {
    let kernel = &available.kernel;
    vec![
        kernel.name.to_string(),
        available.catalog.to_string(),
        kernel.version.clone(),
        kernel.distro.clone().unwrap_or_default(),
        kernel.arch.clone(),
        bytes(kernel.bytes),
        available::presence(available.here).to_owned(),
        kernel.description.clone().unwrap_or_default(),
    ]
}
