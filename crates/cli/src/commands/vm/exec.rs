//! `banger vm exec`

use banger_api::stream::Exec;
use banger_command::failure::Failure;
use banger_command::secrets::Secrets;
use banger_command::variables::Variables;
use banger_command::{complete, connection, session};

use super::tty::TtyArgs;

/// Run a command in a VM
///
/// Standard input, output and error are the command's, byte for byte; exits with the command's exit code. Signals to end go
/// to the command. Where standard input and output are a terminal, the command has one, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm exec web -- uname -a
  banger vm exec web -w /srv -e DEBUG=1 -u www-data -- ./serve
  tar c . | banger vm exec web -- tar x -C /srv
  banger vm exec web -- vim /etc/hosts          a terminal here is one there; -T for none, -t for one in any case
  banger vm exec --env-file .env --secret NPM_TOKEN web -- ./publish      which reads /run/banger/secrets/NPM_TOKEN")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    tty: TtyArgs,
    /// Its working directory; the image's, or the user's home when absent
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// Who runs it: a name or number, and perhaps a group, as USER or USER:GROUP; the image's user, or root when
    /// absent
    #[arg(long, short)]
    user: Option<String>,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    secrets: Secrets,
    /// Give the command no input
    #[arg(long)]
    no_stdin: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    let secrets = args.secrets.read().map_err(Failure::before_command)?;
    let client = connection::connect().await.map_err(Failure::before_command)?;
    let given = secrets.give(&client, &args.name, args.user.as_deref()).await;
    given.map_err(Failure::before_command)?;
    let exec = Exec {
        argv: args.command,
        env: args.variables.all(),
        cwd: args.workdir,
        user: args.user,
        tty: args.tty.tty(!args.no_stdin),
    };
    let input = match args.no_stdin {
        true => session::Input::None,
        false => session::Input::Ours,
    };
    session::run(&client, &args.name, &exec, input).await
}
