//! `banger vm session attach`

use std::time::{Duration, Instant};

use banger_api::VmSession;
use banger_api::stream::{SessionOutput, SessionStream, TerminalSize, Writing};
use banger_client::{Client, ClientError, Session};
use banger_command::attach::{Attachment, Keys, Left};
use banger_command::failure::Failure;
use banger_command::{complete, connection, print, terminal};

/// Maximum number of short connections in a row.
const TRIES: u32 = 5;

/// A connection that lasts longer than this is not short.
const LASTING: Duration = Duration::from_secs(2);

/// Time limit for connecting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Attach this terminal to a session
///
/// Shows the current screen if the session has a terminal, else its last lines. Exits with the session's exit code when
/// the session ends. Press ctrl-] to detach; the session keeps running, also when this client ends in any other way.
/// One client can write at a time, and any number can watch. The connection survives a restart of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session attach web shell
  banger vm session attach web shell --read-only
  banger vm session attach web shell --take                take over from another terminal
  banger vm session attach web shell --detach-key ctrl-p,ctrl-q")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session
    #[arg(add = complete::sessions())]
    session: String,
    /// Watch without writing
    #[arg(long, short)]
    read_only: bool,
    /// Write together with other clients that use --shared
    #[arg(long, conflicts_with = "read_only")]
    shared: bool,
    /// Write instead of the client that writes now
    #[arg(long, conflicts_with_all = ["read_only", "shared"])]
    take: bool,
    /// Cursor in the output to start at, instead of the screen or the last lines
    #[arg(long, value_name = "CURSOR")]
    since: Option<u64>,
    /// Keys that detach: ctrl-X or characters, separated by commas
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "ctrl-]",
        env = "BANGER_DETACH_KEY"
    )]
    detach_key: Keys,
}

/// Options of an attachment.
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

/// Attaches this terminal to a session until one of them ends or the user detaches.
pub(super) async fn attach(
    client: &Client,
    vm: &str,
    session: &VmSession,
    manner: &Manner,
) -> Result<i32, Failure> {
    // A session without input is only watched.
    let can_write = session.takes_input && session.state.is_live();
    let input = match manner.writing {
        Some(writing) => writing,
        None if can_write => Writing::Alone,
        None => Writing::No,
    };
    let mut stream = SessionStream {
        output: SessionOutput::Live,
        since: manner.since,
        only: None,
        input,
        size: size_for(session),
    };
    let mut joined = client.join_session(vm, &session.name, &stream).await?;
    let mut attached = Attachment::begin(session.tty, input != Writing::No, &manner.keys)?;
    let mut tries = 0;
    loop {
        let since = Instant::now();
        match attached.join(joined).await? {
            Left::Ended(code) => return Ok(code),
            Left::Detached => break,
            Left::Lost => {}
        }
        tries = if since.elapsed() < LASTING { tries + 1 } else { 0 };
        // A screen is repainted; other output must continue at the cursor, so that nothing is repeated or lost.
        stream.since = attached.next().filter(|_| !session.tty);
        stream.size = size_for(session);
        if tries >= TRIES || (stream.since.is_none() && !session.tty) {
            return Err(lost());
        }
        attached.print("note: connection lost; attaching again");
        let again = tokio::time::timeout(PATIENCE, again(vm, &session.name, &stream));
        joined = match attached.unless_left(again).await {
            Some(again) => again.unwrap_or_else(|_| Err(lost()))?,
            None => break,
        };
    }
    drop(attached);
    let name = &session.name;
    print::notice!(
        "detached; the session keeps running: reattach with `banger vm session attach {vm} {name}`"
    );
    Ok(banger_command::exit::OK)
}

fn size_for(session: &VmSession) -> Option<TerminalSize> {
    session.tty.then(terminal::size).flatten()
}

/// Reconnects, through another daemon if the last one has ended. A new daemon knows all VMs before it accepts
/// requests.
async fn again(vm: &str, name: &str, stream: &SessionStream) -> Result<Session, Failure> {
    for _ in 0..TRIES {
        let client = connection::connect().await?;
        match client.join_session(vm, name, stream).await {
            Ok(joined) => return Ok(joined),
            Err(error @ ClientError::Api(_)) => return Err(error.into()),
            // That daemon has ended as well.
            Err(_) => {}
        }
    }
    Err(lost())
}

fn lost() -> Failure {
    Failure::new(
        "the connection to the session was lost",
        &["attach again: the session keeps running while its VM runs"],
    )
}
