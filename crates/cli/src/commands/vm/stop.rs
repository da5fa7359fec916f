//! `banger vm stop`

use std::time::Duration;

use banger_api::VmStop;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::values::duration;
use banger_command::{complete, connection, many};

use super::workspace::{Ending, report};

/// Stop VMs
///
/// Asks the guest's init to shut down, then syncs all file systems, then ends the VMM, by force if necessary. Data that
/// a guest has synced is never lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm stop web
  banger vm stop web db --grace 5s               give the guest's init 5 seconds")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// Time for the guest's init to shut down, such as 500ms, 30s or 2m
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let stop = VmStop {
        grace_ms: u64::try_from(args.grace.as_millis()).unwrap_or(u64::MAX),
    };
    let display = Display::new("");
    let grace = args.grace.as_secs_f64();
    display.now(&format!(
        "stopping {} (at most {grace:.0} s)",
        args.names.join(", ")
    ));
    let suspender = display.suspender();
    let one = async |name: String| {
        let stopped = client.stop_vm(&name, &stop).await?;
        if !args.output.json {
            suspender.suspend(|| report(&name, &stopped.work, Ending::Stopped));
        }
        Ok(stopped)
    };
    many::each_under(Some(display), args.output, &args.names, one).await
}
