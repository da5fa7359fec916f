//! `banger kernel pull`

use banger_api::KernelPull;
use banger_client::Client;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::work::shown;
use banger_command::{complete, exit, print};
use banger_model::{CatalogName, KernelName};

use crate::stored::Stored;

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
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<i32, Failure> {
    let pull = KernelPull {
        name: args.name,
        catalog: args.catalog,
        force: args.force,
    };
    let pulled = shown("reading the catalogs", async |progress| {
        client.pull_kernel(&pull, progress).await
    })
    .await?;
    if args.output.json {
        print::json(&pulled)?;
    } else if pulled.was_here {
        print::line(&format!("{}: up to date", pulled.kernel.name));
    } else {
        print::line(&format!("{}: {}", pulled.kernel.name, pulled.kernel.summary()));
    }
    Ok(exit::OK)
}
