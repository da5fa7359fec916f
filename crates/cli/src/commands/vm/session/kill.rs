//! `banger vm session kill`

use std::time::Duration;

use banger_command::complete;
use banger_command::failure::Failure;

use super::stop::end;

/// Kill sessions: all their processes, at once
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  banger vm session kill web srv")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    #[arg(required = true, value_name = "SESSION", add = complete::sessions())]
    sessions: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    end(&args.vm, &args.sessions, Duration::ZERO).await
}
