//! `banger vm session wait`

use std::time::Duration;

use banger_api::VmSession;
use banger_api::stream::SessionState;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::values::duration;
use banger_command::{complete, connection, exit, print};

/// Wait until a session ends, and exit with its exit code
///
/// Exits with 128 plus the signal number if a signal ended the session. Survives a restart of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session wait web make && echo passed
  banger vm session wait web make --timeout 10m --json")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    /// Time after which to give up, such as 500ms, 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let waiting = until_ended(&args.vm, &args.session);
    let session = match args.timeout {
        Some(timeout) => match tokio::time::timeout(timeout, waiting).await {
            Ok(session) => session?,
            Err(_) => {
                return Err(
                    Failure::new(format!("session `{}` is still running", args.session), &[])
                        .exiting(exit::TIMED_OUT),
                );
            }
        },
        None => waiting.await?,
    };
    if args.output.json {
        print::json(&session)?;
    }
    match (session.state, session.exit_code) {
        (SessionState::Exited, Some(code)) => Ok(code),
        _ => Err(Failure::new(
            format!("session `{}` was lost: its exit code is unknown", session.name),
            &["the VM stopped while the session was running, or the session's keeper was killed"],
        )
        .exiting(exit::NO_COMMAND)),
    }
}

/// Waits until a session has ended, also across restarts of the daemon.
pub(super) async fn until_ended(vm: &str, name: &str) -> Result<VmSession, Failure> {
    connection::across_restarts(async |client| client.wait_for_session(vm, name).await).await
}
