//! `banger vm session attach`

use banger_api::VmSession;
use banger_api::client::Client;
use banger_api::stream::{SessionOutput, SessionStream, Writing};

use crate::attach::{self, Keys};
use crate::failure::Failure;
use crate::{complete, connection, terminal};

/// See a session, and type into it
///
/// A terminal's screen is painted as it is now; a session without one shows its last lines. Its end gives its exit code. The
/// key ctrl-] leaves it running, and so does whatever ends this program. One client writes at a time, any number watch.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session attach web shell
  banger vm session attach web shell --read-only
  banger vm session attach web shell --take                  it was left open on another terminal
  banger vm session attach web shell --detach-key ctrl-p,ctrl-q")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    #[arg(add = complete::sessions())]
    session: String,
    /// Only watch
    #[arg(long, short)]
    read_only: bool,
    /// Write beside others who attach with --shared
    #[arg(long, conflicts_with = "read_only")]
    shared: bool,
    /// Write in the place of who does now
    #[arg(long, conflicts_with_all = ["read_only", "shared"])]
    take: bool,
    /// Begin at this cursor of its output, in place of its screen or its last lines
    #[arg(long, value_name = "CURSOR")]
    since: Option<u64>,
    /// The keys that leave it: ctrl-X, or characters, separated by commas
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "ctrl-]",
        env = "BANGER_DETACH_KEY"
    )]
    detach_key: Keys,
}

/// How a session is joined.
#[derive(Debug, Default)]
pub(super) struct Manner {
    writing: Option<Writing>,
    since: Option<u64>,
    keys: Keys,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let session = client.session(&args.vm, &args.session).await?;
    let manner = Manner {
        writing: match (args.read_only, args.shared, args.take) {
            (true, ..) => Some(Writing::No),
            (_, true, _) => Some(Writing::Shared),
            (_, _, true) => Some(Writing::Instead),
            _ => None,
        },
        since: args.since,
        keys: args.detach_key,
    };
    attach(&client, &args.vm, &session, &manner).await
}

/// Joins this terminal to a session, until one of them leaves.
pub(super) async fn attach(
    client: &Client,
    vm: &str,
    session: &VmSession,
    manner: &Manner,
) -> Result<i32, Failure> {
    // One that takes no input is watched.
    let can_write = session.takes_input && session.state.is_live();
    let input = match manner.writing {
        Some(writing) => writing,
        None if can_write => Writing::Alone,
        None => Writing::No,
    };
    let stream = SessionStream {
        output: SessionOutput::Live,
        since: manner.since,
        only: None,
        input,
        size: session.tty.then(terminal::size).flatten(),
    };
    let joined = client.join_session(vm, &session.name, &stream).await?;
    let writes = input != Writing::No;
    let left = attach::run(joined, session.tty, writes, &manner.keys).await?;
    match left {
        attach::Left::Ended(code) => Ok(code),
        attach::Left::Detached => {
            let name = &session.name;
            eprintln!("left; it runs on: `banger vm session attach {vm} {name}` comes back");
            Ok(crate::exit::OK)
        }
    }
}
