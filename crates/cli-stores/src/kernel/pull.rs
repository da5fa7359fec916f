//! `banger kernel pull` and what there is to pull.

use banger_api::{AvailableKernel, KernelPull, Presence};
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::progress::bytes;
use banger_command::work::shown;
use banger_command::{complete, exit, print};
use banger_model::{CatalogName, KernelName};

/// Pull a kernel from a catalog
///
/// Signature, size and digest of the kernel are verified before it is unpacked. `banger kernel list --available` lists
/// the kernels of your catalogs. A kernel that is already here is not downloaded again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger kernel pull generic-6.12
  banger kernel pull debian --catalog team --force")]
pub struct Args {
    /// Name of the kernel, in the catalog and on this host
    #[arg(add = complete::available_kernels())]
    name: KernelName,
    /// Catalog to pull the kernel from; required if several catalogs have a kernel of this name
    #[arg(long, add = complete::catalogs())]
    catalog: Option<CatalogName>,
    /// Replace an existing kernel of that name
    #[arg(long, short)]
    force: bool,
    /// Print the kernel as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let pull = KernelPull {
        name: args.name,
        catalog: args.catalog,
        force: args.force,
    };
    let pulled = shown("reading the catalogs", async |tell| {
        client.pull_kernel(&pull, tell).await
    })
    .await?;
    if args.json {
        print::json(&pulled)?;
    } else if pulled.was_here {
        print::line(&format!("{}: up to date", pulled.kernel.name));
    } else {
        print::line(&super::told(&pulled.kernel));
    }
    Ok(exit::OK)
}

/// Lists what can be pulled. Catalogs that cannot be read are reported, and do not hide the others.
pub(super) async fn list(client: &Client, json: bool) -> Result<i32, Failure> {
    let available = client.available_kernels().await?;
    if json {
        print::json(&available.kernels)?;
    } else {
        let rows = available.kernels.iter().map(row);
        let header = [
            "NAME",
            "CATALOG",
            "VERSION",
            "DISTRO",
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

fn row(available: &AvailableKernel) -> Vec<String> {
    let kernel = &available.kernel;
    vec![
        kernel.name.to_string(),
        available.catalog.to_string(),
        kernel.version.clone(),
        kernel.distro.clone().unwrap_or_default(),
        kernel.arch.clone(),
        bytes(kernel.bytes),
        presence(available.here).to_owned(),
        kernel.description.clone().unwrap_or_default(),
    ]
}

/// The state of a catalog's entry on this host, in words.
pub(crate) fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Absent => "",
        Presence::Here => "pulled",
        Presence::Another => "name in use",
        Presence::Foreign => "other platform",
    }
}
