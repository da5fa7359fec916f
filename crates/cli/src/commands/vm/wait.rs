//! `banger vm wait`

use std::time::Duration;

use banger_api::{Awaited, VmWait, VmWaited};
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::values::duration;
use banger_command::{complete, connection, exit, many, print};
use banger_model::Phase;

/// What is waited for, as the command line has it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    /// The VM is not running: it stopped, failed, or was deleted
    Stopped,
    /// The guest is ready for commands
    Running,
    /// The VM is running, and the preparation of its checkout has ended
    Prepared,
    /// The VM does not exist
    Deleted,
}

/// Wait until VMs are stopped, running, prepared or deleted
///
/// Prints the phase of each VM, in the given order: `stopped`, `failed`, `running` or `deleted`. Exits with 1 if a VM
/// failed, and with 124 after --timeout. Survives a restart of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm wait web                             wait until VM web is not running
  banger vm wait web db --for running --timeout 1m
  banger vm wait web --for prepared              wait until its checkout is prepared
  banger vm wait web --for deleted")]
pub(crate) struct Args {
    /// Names of the VMs
    #[arg(required = true, value_name = "NAME", add = complete::vms())]
    names: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value_t = State::Stopped, value_name = "STATE")]
    state: State,
    /// Time after which to give up, such as 500ms, 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    // Without a daemon, a wait is a wait for one.
    connection::connect().await?;
    let wait = VmWait {
        awaited: match args.state {
            State::Stopped => Awaited::Stopped,
            State::Running => Awaited::Running,
            State::Prepared => Awaited::Prepared,
            State::Deleted => Awaited::Deleted,
        },
    };
    let mut all = Vec::new();
    let waiting = many::each_giving(
        &args.names,
        async |name: String| {
            connection::across_restarts(async |client| client.wait_for_vm(&name, &wait).await).await
        },
        |waited| all.push(waited),
    );
    let code = match args.timeout {
        Some(timeout) => tokio::time::timeout(timeout, waiting)
            .await
            .map_err(|_| gave_up(&args.names, args.state, timeout))?,
        None => waiting.await,
    };
    args.output.print(&all, |all| {
        all.iter().for_each(|waited| print::line(phase(waited)));
    })?;
    let mut failed = false;
    for waited in all.iter().filter(|waited| waited.phase == Some(Phase::Failed)) {
        failed = true;
        let why = waited.last_error.as_ref();
        let why = why.map_or_else(String::new, |error| format!(": {}", error.message));
        print::notice(&format!("note: VM {} failed{why}", waited.name));
    }
    Ok(if failed { exit::FAILED } else { code })
}

fn phase(waited: &VmWaited) -> &'static str {
    waited.phase.map_or("deleted", Phase::as_str)
}

fn gave_up(names: &[String], state: State, timeout: Duration) -> Failure {
    let (what, names) = match names {
        [one] => ("VM", one.clone()),
        several => ("VMs", several.join(", ")),
    };
    let state = match state {
        State::Stopped => "stop",
        State::Running => "start",
        State::Prepared => "be prepared",
        State::Deleted => "be deleted",
    };
    Failure::new(
        format!("timed out after {timeout:?} waiting for {what} {names} to {state}"),
        &["`banger vm list` shows the phase of each VM"],
    )
    .exiting(exit::TIMED_OUT)
}
