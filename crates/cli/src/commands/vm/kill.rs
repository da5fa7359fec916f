//! `banger vm kill`

use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, many};

/// Kill VMs immediately, like a power failure
///
/// Data that a guest has synced is on its disk; other data may be lost. `banger vm stop` loses nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm kill web
  banger vm kill web db")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let one = async |name: String| Ok(client.kill_vm(&name).await?);
    many::each(args.output, &args.names, one).await
}
