//! `banger daemon`

use banger_api::Paths;
use clap::Subcommand;

use crate::failure::Failure;
use crate::{connection, exit, print};

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
    /// Stop the daemon; VMs run on
    ///
    /// Shells, commands and copies run through the daemon and are cut off: with any of them open, this asks first, or is
    /// refused where nobody can be asked.
    Stop {
        /// Also with shells, commands or copies open
        #[arg(long, short)]
        force: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Start => {
            let client = connection::connect().await?;
            print::line(&format!("bangerd runs at {}", client.socket().display()));
            Ok(exit::OK)
        }
        Command::Status { json } => status(json).await,
        Command::Stop { force } => stop(force).await,
    }
}

async fn status(json: bool) -> Result<i32, Failure> {
    let (client, version) = connection::look().await?;
    if json {
        print::json(&version)?;
    }
    let log = Paths::from_env()?.daemon_log();
    let Some(version) = version else {
        if !json {
            print::line("bangerd does not run; the next command that needs it starts it");
        }
        return Ok(exit::FAILED);
    };
    if !json {
        print::facts(&[
            ("version", version.version),
            ("build", version.build),
            ("process", version.pid.to_string()),
            ("machines", version.machines.to_string()),
            ("streams", version.streams.to_string()),
            ("socket", client.socket().display().to_string()),
            ("log", log.display().to_string()),
        ]);
    }
    Ok(exit::OK)
}

async fn stop(force: bool) -> Result<i32, Failure> {
    let (client, version) = connection::look().await?;
    let Some(version) = version else {
        print::line("bangerd does not run");
        return Ok(exit::OK);
    };
    if !force {
        connection::refuse_to_cut(&version, "the daemon is to stop")?;
    }
    client.stop_daemon(true).await?;
    connection::wait_for_end(&version).await?;
    print::line("bangerd stopped; VMs run on");
    Ok(exit::OK)
}
