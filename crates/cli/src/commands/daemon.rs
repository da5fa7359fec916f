//! `banger daemon`

use banger_client::daemon;
use banger_command::failure::Failure;
use banger_command::{connection, exit, print};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the daemon, if it does not run
    Start,
    /// Tell whether the daemon runs, and where its log is
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop the daemon; VMs, shells and commands run on
    ///
    /// SSH to an image's own server, and the streams of clients that cannot take a connection over, run through the daemon and are
    /// cut off: with any of them open, this asks first, or is refused where nobody can be asked.
    Stop {
        /// Also with streams open that run through the daemon
        #[arg(long, short)]
        force: bool,
    },
    /// Replace the daemon by the one that is installed; VMs, shells and commands run on
    #[command(visible_alias = "upgrade")]
    Restart {
        /// Also with streams open that run through the daemon
        #[arg(long, short)]
        force: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Start => {
            let client = connection::connect().await?;
            print::line(&format!("bangerd runs at {}", client.connector()));
            Ok(exit::OK)
        }
        Command::Status { json } => status(json).await,
        Command::Stop { force } => {
            print::line(match stop(force, "stop").await? {
                true => "bangerd stopped; VMs run on",
                false => "bangerd does not run",
            });
            Ok(exit::OK)
        }
        Command::Restart { force } => {
            stop(force, "be replaced").await?;
            let client = connection::connect().await?;
            print::line(&format!("bangerd runs at {}", client.connector()));
            Ok(exit::OK)
        }
    }
}

async fn status(json: bool) -> Result<i32, Failure> {
    let (client, version) = connection::look().await?;
    if json {
        print::json(&version)?;
    }
    let log = connection::paths()?.daemon_log();
    let Some(version) = version else {
        if !json {
            print::line("bangerd does not run; the next command that needs it starts it");
        }
        return Ok(exit::FAILED);
    };
    if !json {
        print::facts(&[
            ("version", version.version),
            ("API", version.api.to_string()),
            ("build", version.build),
            ("process", version.pid.to_string()),
            ("machines", version.machines.to_string()),
            ("streams", version.streams.to_string()),
            ("socket", client.connector().to_string()),
            ("log", log.display().to_string()),
        ]);
    }
    Ok(exit::OK)
}

/// Stops the daemon. Returns whether one ran.
async fn stop(force: bool, what: &str) -> Result<bool, Failure> {
    let (client, version) = connection::look().await?;
    let Some(version) = version else {
        return Ok(false);
    };
    if !force {
        connection::refuse_to_cut(&version, &format!("the daemon is to {what}"))?;
    }
    client.stop_daemon(true).await?;
    daemon::wait_for_end(&version).await?;
    Ok(true)
}
