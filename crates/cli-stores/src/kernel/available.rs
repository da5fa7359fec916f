//! What kernels there are to pull from catalogs.

use banger_api::AvailableKernel;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::progress::bytes;

use crate::available;

const AVAILABLE: Listing<AvailableKernel> = Listing {
    keys: &[
        Key {
            name: "name",
            values: |available| vec![available.kernel.name.to_string()],
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
            name: "version",
            values: |available| vec![available.kernel.version.clone()],
        },
        Key {
            name: "distro",
            values: |available| available.kernel.distro.iter().cloned().collect(),
        },
        Key {
            name: "arch",
            values: |available| vec![available.kernel.arch.clone()],
        },
    ],
    header: &[
        "NAME",
        "CATALOG",
        "VERSION",
        "DISTRO",
        "ARCH",
        "SIZE",
        "STATUS",
        "DESCRIPTION",
    ],
    name: |available| available.kernel.name.to_string(),
    row,
};

pub(super) async fn list(client: &Client, options: Options) -> Result<i32, Failure> {
    let plan = options.plan(AVAILABLE)?;
    let available = client.available_kernels().await?;
    available::list(&plan, available.kernels, available.failures)
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
