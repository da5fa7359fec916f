//! `banger vm session list`

use banger_api::VmSession;
use banger_command::failure::Failure;
use banger_command::progress::bytes;
use banger_command::{complete, connection, exit, print};

/// List the sessions of a VM
///
/// Ended sessions are listed until `session rm` removes them. Sessions are stored on the VM's disk, so the VM must be
/// running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session list web
  banger vm session list web --json | jq -r '.[] | select(.state == \"running\") | .name'")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Print names only
    #[arg(long, short)]
    quiet: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let sessions = client.sessions(&args.vm).await?;
    if args.json {
        print::json(&sessions)?;
    } else if args.quiet {
        for session in &sessions {
            print::line(&session.name);
        }
    } else {
        let header = ["NAME", "STATE", "EXIT", "STARTED", "OUTPUT", "CLIENTS", "COMMAND"];
        print::table(&header, sessions.iter().map(row));
    }
    Ok(exit::OK)
}

fn row(session: &VmSession) -> Vec<String> {
    let exit = session.exit_code.filter(|_| !session.state.is_live());
    vec![
        session.name.clone(),
        session.state.as_str().to_owned(),
        exit.map_or_else(|| "-".to_owned(), |code| code.to_string()),
        since(session.started_ms),
        bytes(session.log.end),
        session.clients.to_string(),
        command(session),
    ]
}

/// A command line for people; not quoted for a shell.
pub(super) fn command(session: &VmSession) -> String {
    if session.command.is_empty() {
        return "(login shell)".to_owned();
    }
    session.command.join(" ")
}

/// The age, in one unit.
fn since(ms: u64) -> String {
    print::age(&rfc3339(ms))
}

pub(super) fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().map(jiff::Timestamp::from_millisecond);
    time.and_then(Result::ok)
        .map_or_else(|| "?".to_owned(), |time| time.to_string())
}
