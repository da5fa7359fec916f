//! `banger vm session rm`

use banger_api::stream::SessionStop;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::{complete, connection, exit, many};

use super::wait::until_ended;

/// Remove ended sessions and their output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session rm web make
  banger vm session rm -f web srv            even if it is running
  banger vm session rm web --ended           all ended sessions")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Names of the sessions
    #[arg(required_unless_present = "ended", value_name = "SESSION", add = complete::sessions())]
    sessions: Vec<String>,
    /// Kill running sessions, then remove them
    #[arg(long, short)]
    force: bool,
    /// Remove all ended sessions
    #[arg(long, conflicts_with_all = ["sessions", "force"])]
    ended: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(mut args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let vm = &args.vm;
    if args.ended {
        let sessions = client.sessions(vm).await?;
        let ended = sessions.into_iter().filter(|session| !session.state.is_live());
        args.sessions = ended.map(|session| session.name).collect();
    }
    let one = async |name: String| {
        let is_live = client.session(vm, &name).await?.state.is_live();
        if is_live && !args.force {
            let stop = format!(
                "stop it with `banger vm session stop {vm} {name}`, or kill and remove it with \
                 `banger vm session rm -f {vm} {name}`"
            );
            return Err(
                Failure::new(format!("session `{name}` is running"), &[&stop]).exiting(exit::CONFLICT)
            );
        }
        if is_live {
            client
                .stop_session(vm, &name, &SessionStop { grace_ms: 0 })
                .await?;
            until_ended(vm, &name).await?;
        }
        Ok(client.remove_session(vm, &name).await?)
    };
    many::each(args.output, &args.sessions, one).await
}
