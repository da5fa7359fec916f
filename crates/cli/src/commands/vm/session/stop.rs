//! `banger vm session stop`

use std::time::Duration;

use banger_api::stream::SessionStop;
use banger_command::failure::Failure;
use banger_command::values::duration;
use banger_command::{complete, connection, many};

use super::wait::until_ended;

/// Ask sessions to end
///
/// All processes of a session get SIGTERM, those of a terminal SIGHUP too, and SIGKILL if they still run after the grace.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session stop web srv
  banger vm session stop web srv worker --grace 1m")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    #[arg(required = true, value_name = "SESSION", add = complete::sessions())]
    sessions: Vec<String>,
    /// How long they may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    grace: Duration,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    end(&args.vm, &args.sessions, args.grace).await
}

/// Ends sessions, and waits until they have.
pub(super) async fn end(vm: &str, sessions: &[String], grace: Duration) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let stop = SessionStop {
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
    };
    let one = async |name: String| {
        client.stop_session(vm, &name, &stop).await?;
        until_ended(client.clone(), vm, &name).await?;
        Ok(name)
    };
    Ok(many::each(sessions, one).await)
}
