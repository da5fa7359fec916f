//! `banger vm delete`

use banger_command::failure::Failure;
use banger_command::many::{self, Done};
use banger_command::output::Output;
use banger_command::{complete, connection};

use super::workspace::{Ending, report};

/// Remove VMs and their disks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm delete web
  banger vm delete -f web db                     even if they are running")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// Remove VMs even if they are running or have work that was not pulled
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let one = async |name: String| {
        let work = client.delete_vm(&name, args.force).await?;
        if !args.output.json {
            report(&name, &work, Ending::Deleted);
        }
        Ok(Done::new(name, work))
    };
    many::each(args.output, &args.names, one).await
}
