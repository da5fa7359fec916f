//! `banger vm delete`

use super::workspace::{Ending, before};
use crate::failure::Failure;
use crate::{complete, connection, many};

/// Remove VMs and their disks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm delete web
  banger vm delete -f web db         also if they run")]
pub(crate) struct Args {
    #[arg(required = true, add = complete::vms())]
    names: Vec<String>,
    /// Also those that run, and those with work that was not brought back
    #[arg(long, short)]
    force: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let one = async |name: String| {
        if !args.force && client.vm(&name).await?.phase.may_have_machine() {
            let stop = format!(
                "stop it with `banger vm stop {name}`, or end and delete it with `banger vm delete -f {name}`"
            );
            return Err(Failure::new(format!("VM `{name}` runs"), &[&stop]).exiting(crate::exit::CONFLICT));
        }
        let ending = match args.force {
            true => Ending::ForcedDelete,
            false => Ending::Delete,
        };
        before(&client, &name, ending).await?;
        client.delete_vm(&name).await?;
        Ok(name)
    };
    Ok(many::each(&args.names, one).await)
}
