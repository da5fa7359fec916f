//! `banger vm restart`

use std::time::Duration;

use banger_api::{VmRestart, VmStop};
use banger_client::Client;
use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::progress::Display;
use banger_command::values::duration;

use super::starting::Starting;

/// Restart VMs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm restart web
  banger vm restart web db --grace 5s --wait init")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// Time for the guest's init to shut down, such as 500ms, 30s or 2m
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    starting: Starting,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let request = VmRestart {
        stop: VmStop {
            grace_ms: u64::try_from(args.grace.as_millis()).unwrap_or(u64::MAX),
        },
        wait: args.starting.wait,
        secrets: args.starting.secrets(),
    };
    let restart = async |client: &Client, name: &str, display: &mut Display| {
        let restarted = client.restart_vm(name, &request, |progress| display.show(&progress));
        restarted.await
    };
    args.starting.each(args.output, &args.names, restart).await
}
