//! `banger vm session kill`

use std::time::Duration;

use banger_command::complete;
use banger_command::failure::Failure;
use banger_command::output::Output;

use super::stop::end;

/// Kill all processes of sessions immediately
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session kill web srv
  banger vm session kill web srv worker")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Names of the sessions
    #[arg(required = true, value_name = "SESSION", add = complete::sessions())]
    sessions: Vec<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    end(args.output, &args.vm, &args.sessions, Duration::ZERO).await
}
