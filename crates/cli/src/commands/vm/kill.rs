//! `banger vm kill`

use banger_command::failure::Failure;
use banger_command::{complete, connection, many};

/// End VMs at once, as if by pulling the plug
///
/// What a guest has synced is on its disk; what it has not may be lost. `banger vm stop` loses nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(required = true, add = complete::vms())]
    names: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let one = async |name: String| {
        client.kill_vm(&name).await?;
        Ok(name)
    };
    Ok(many::each(&args.names, one).await)
}
