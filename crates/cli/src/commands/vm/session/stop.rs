//! `banger vm session stop`

use std::time::Duration;

use banger_api::stream::SessionStop;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::values::duration;
use banger_command::{complete, connection, many};

use super::wait::until_ended;

/// Stop sessions
///
/// Sends SIGTERM to all processes of a session, and SIGHUP too if it has a terminal; then SIGKILL to those that are
/// still running after the grace period.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session stop web srv
  banger vm session stop web srv worker --grace 1m")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Names of the sessions
    #[arg(required = true, value_name = "SESSION", add = complete::sessions())]
    sessions: Vec<String>,
    /// Time for the processes to end, such as 500ms, 30s or 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    end(args.output, &args.vm, &args.sessions, args.grace).await
}

/// Stops sessions and waits until they have ended.
pub(super) async fn end(
    output: Output,
    vm: &str,
    sessions: &[String],
    grace: Duration,
) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let stop = SessionStop {
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
    };
    let one = async |name: String| {
        client.stop_session(vm, &name, &stop).await?;
        until_ended(vm, &name).await
    };
    many::each(output, sessions, one).await
}
