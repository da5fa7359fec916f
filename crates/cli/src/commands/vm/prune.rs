//! `banger vm prune`

use banger_api::Prune;

use crate::failure::Failure;
use crate::progress::bytes;
use crate::{ask, connection, exit, print};

/// Remove all VMs that do not run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let found = client.prune(&Prune { dry_run: true }).await?;
    if found.vms.is_empty() {
        eprintln!("every VM runs, or there is none");
        return Ok(exit::OK);
    }
    if args.dry_run {
        found.vms.iter().for_each(|name| print::line(name));
        eprintln!("{} would be freed", bytes(found.bytes));
        return Ok(exit::OK);
    }
    let question = format!("Remove {} and their disks?", found.vms.join(", "));
    if !args.yes && !ask::sure(&question, "banger vm prune --yes")? {
        return Ok(exit::FAILED);
    }
    let pruned = client.prune(&Prune { dry_run: false }).await?;
    pruned.vms.iter().for_each(|name| print::line(name));
    eprintln!("{} freed", bytes(pruned.bytes));
    Ok(exit::OK)
}
