//! `banger daemon`

use banger_client::daemon;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{connection, exit, print};
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the daemon unless it is running
    #[command(after_help = "\
Examples:
  banger daemon start
  banger daemon start && banger daemon status")]
    Start {
        #[command(flatten)]
        output: Output,
    },
    /// Print whether the daemon is running, and the path of its log
    #[command(after_help = "\
Examples:
  banger daemon status
  banger daemon status --json")]
    Status {
        #[command(flatten)]
        output: Output,
    },
    /// Stop the daemon; VMs, shells and commands keep running
    ///
    /// Connections that run through the daemon are cut off: SSH to an image's own server, and streams of clients that
    /// cannot move a connection to another daemon. If there are any, the command asks first; without a terminal, it
    /// fails.
    #[command(after_help = "\
Examples:
  banger daemon stop
  banger daemon stop --force                     cut connections off without asking")]
    Stop {
        /// Do not ask, even if connections that run through the daemon will be cut off
        #[arg(long, short)]
        force: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Replace the daemon with the installed version; VMs and commands keep running
    #[command(
        visible_alias = "upgrade",
        after_help = "\
Examples:
  banger daemon restart
  banger daemon upgrade                          same, after an update of banger"
    )]
    Restart {
        /// Do not ask, even if connections that run through the daemon will be cut off
        #[arg(long, short)]
        force: bool,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Start { output } => running(output).await,
        Command::Status { output } => status(output).await,
        Command::Stop { force, output } => {
            let stopped = stop(force, "stopping the daemon").await?;
            output.print(&json!({ "stopped": stopped }), |_| {
                print::line(match stopped {
                    true => "bangerd stopped; VMs keep running",
                    false => "bangerd is not running",
                });
            })?;
            Ok(exit::OK)
        }
        Command::Restart { force, output } => {
            stop(force, "replacing the daemon").await?;
            running(output).await
        }
    }
}

/// Starts the daemon unless it is running, and prints where it is.
async fn running(output: Output) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    match output.json {
        true => print::json(&client.version().await?)?,
        false => print::line(&format!("bangerd is running at {}", client.connector())),
    }
    Ok(exit::OK)
}

async fn status(output: Output) -> Result<i32, Failure> {
    let (client, version) = connection::look().await?;
    if output.json {
        print::json(&version)?;
    }
    let log = connection::paths()?.daemon_log();
    let Some(version) = version else {
        if !output.json {
            print::line("bangerd is not running; the next command that needs it starts it");
        }
        return Ok(exit::FAILED);
    };
    if !output.json {
        print::facts(&[
            ("version", version.version),
            ("API", version.api.to_string()),
            ("build", version.build),
            ("process", version.pid.to_string()),
            ("running VMs", version.machines.to_string()),
            ("connections", version.streams.to_string()),
            ("socket", client.connector().to_string()),
            ("log", log.display().to_string()),
        ]);
    }
    Ok(exit::OK)
}

/// Stops the daemon. Returns whether it was running.
async fn stop(force: bool, what: &str) -> Result<bool, Failure> {
    let (client, version) = connection::look().await?;
    let Some(version) = version else {
        return Ok(false);
    };
    if !force {
        connection::refuse_to_cut(&version, what)?;
    }
    client.stop_daemon(true).await?;
    daemon::wait_for_end(&version).await?;
    Ok(true)
}
