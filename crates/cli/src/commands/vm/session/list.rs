//! `banger vm session list`

use banger_api::VmSession;
use banger_command::failure::Failure;
use banger_command::list::{Key, Listing, Options};
use banger_command::progress::bytes;
use banger_command::{complete, connection, exit, print};

/// List the sessions of a VM
///
/// Ended sessions are listed until `session rm` removes them. Sessions are stored on the VM's disk, so the VM must be
/// running. Keys of --filter: name, state, command, user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session list web
  banger vm session list web --filter state=running --quiet
  banger vm session list web --json")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    #[command(flatten)]
    list: Options,
}

const SESSIONS: Listing<VmSession> = Listing {
    keys: &[
        Key {
            name: "name",
            values: |session| vec![session.name.clone()],
        },
        Key {
            name: "state",
            values: |session| vec![session.state.as_str().to_owned()],
        },
        Key {
            name: "command",
            values: |session| vec![command(session)],
        },
        Key {
            name: "user",
            values: |session| session.user.clone().into_iter().collect(),
        },
    ],
    header: &["NAME", "STATE", "EXIT", "STARTED", "OUTPUT", "CLIENTS", "COMMAND"],
    name: |session| session.name.clone(),
    row,
};

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let plan = args.list.plan(SESSIONS)?;
    let client = connection::connect().await?;
    plan.print(client.sessions(&args.vm).await?)?;
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
