//! `banger vm exec`

use banger_api::stream::Exec;
use banger_command::failure::Failure;
use banger_command::secrets::Secrets;
use banger_command::variables::Variables;
use banger_command::{complete, connection, session};

use super::tty::TtyArgs;
use super::words;

/// Run a command in a VM
///
/// Standard input, output and error are passed through unchanged. Exits with the command's exit code. Interrupt and
/// termination signals are sent to the command. The command has a terminal if standard input and output are terminals.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm exec web uname -a
  banger vm exec web -w /srv -e DEBUG=1 -u www-data -- ./serve
  tar c . | banger vm exec web -- tar x -C /srv
  banger vm exec web -- vim /etc/hosts             use -T for no terminal, -t to always have one
  banger vm exec --secret NPM_TOKEN web -- ./publish     read it in /run/banger/secrets/NPM_TOKEN")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    #[command(flatten)]
    tty: TtyArgs,
    /// Working directory in the VM; the image's working directory or the user's home if omitted
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// User to run the command as: USER or USER:GROUP, names or numbers; the image's user or root if omitted
    #[arg(long, short)]
    user: Option<String>,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    secrets: Secrets,
    /// Do not pass standard input to the command
    #[arg(long)]
    no_stdin: bool,
    /// Command and its arguments, which follow the name of the VM and all options
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    if let Some(option) = args.command.first().filter(|word| word.starts_with('-')) {
        return Err(words::unknown(option));
    }
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
        ..Exec::default()
    };
    let input = match args.no_stdin {
        true => session::Input::None,
        false => session::Input::Ours,
    };
    session::run(&client, &args.name, &exec, input).await
}
