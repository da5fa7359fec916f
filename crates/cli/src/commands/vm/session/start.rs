//! `banger vm session start`

use banger_api::stream::session::MAX_RESTARTS;
use banger_api::stream::{Exec, Restart, SessionInput, SessionStart};
use banger_api::user_env;
use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::secrets::Secrets;
use banger_command::variables::Variables;
use banger_command::{complete, connection, exit, print, terminal};
use banger_model::ByteSize;
use clap::ValueEnum;

use super::attach;
use crate::commands::vm::words;

/// Start a command in a detached session
///
/// The command keeps running when this client, the daemon or the guest's agent ends; it ends with the VM. Its output is
/// stored on the guest's disk. The working directory and required programs are checked first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session start web make test
  banger vm session start web --name shell -t              start a login shell, for `session attach`
  banger vm session start web --name srv -w /root/repo --restart on-failure -- npm start
  banger vm session start web --stdin pipe -- ./worker     read what `session send` sends
  banger vm session start web --secret API_TOKEN -- ./bot  read /run/banger/secrets/API_TOKEN")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    vm: String,
    /// Name of the session; the name of the program if omitted
    #[arg(long, short)]
    name: Option<String>,
    /// Working directory in the VM; the image's working directory or the user's home if omitted
    #[arg(long, short = 'w', value_name = "DIR", visible_alias = "workdir")]
    cwd: Option<String>,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    secrets: Secrets,
    /// User to run the command as: USER or USER:GROUP, names or numbers; the image's user or root if omitted
    #[arg(long, short)]
    user: Option<String>,
    /// Allocate a terminal, which attached clients see and type into
    #[arg(long, short)]
    tty: bool,
    /// Standard input if there is no terminal: closed, or a pipe for what clients send
    #[arg(long, value_enum, value_name = "INPUT", default_value_t = Stdin::Closed, conflicts_with = "tty")]
    stdin: Stdin,
    /// Program that must exist in the guest, else the session is not started; repeatable
    #[arg(long, value_name = "COMMAND")]
    require_command: Vec<String>,
    /// Whether to restart the command when it fails, after a delay of 1 s, then 2 s, 4 s and so on
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = When::Never)]
    restart: When,
    /// Number of restarts in a row; counting starts again after the command has run for a minute
    #[arg(long, value_name = "COUNT", default_value_t = MAX_RESTARTS)]
    max_restarts: u32,
    /// Size of output to keep, such as 64M; the oldest output is removed first
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    log_max: ByteSize,
    /// Attach to the session
    #[arg(long, short, conflicts_with = "json")]
    attach: bool,
    #[command(flatten)]
    output: Output,
    /// Command and its arguments; a login shell if omitted
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stdin {
    Closed,
    Pipe,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Never,
    OnFailure,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    if let Some(option) = args.command.first().filter(|word| word.starts_with('-')) {
        return Err(words::unknown(option));
    }
    if args.command.is_empty() && !args.tty {
        let hint = "allocate a terminal with `-t`, or give a command after `--`";
        return Err(Failure::new("a login shell needs a terminal", &[hint]));
    }
    let secrets = args.secrets.read()?;
    let client = connection::connect().await?;
    secrets.give(&client, &args.vm, args.user.as_deref()).await?;
    let start = SessionStart {
        name: args.name,
        exec: Exec {
            argv: args.command,
            env: args.variables.all(),
            cwd: args.cwd,
            user: args.user,
            tty: args.tty.then(terminal::tty),
            user_env: user_env::of_process(args.tty),
        },
        stdin: match args.stdin {
            Stdin::Closed => SessionInput::Closed,
            Stdin::Pipe => SessionInput::Pipe,
        },
        require: args.require_command,
        restart: match args.restart {
            When::Never => Restart::Never,
            When::OnFailure => Restart::OnFailure,
        },
        max_restarts: args.max_restarts,
        log_max: args.log_max.as_bytes(),
    };
    let session = client.start_session(&args.vm, &start).await?;
    if args.attach {
        return attach::attach(&client, &args.vm, &session, &attach::Manner::default()).await;
    }
    if args.output.json {
        print::json(&session)?;
    } else {
        print::line(&session.name);
    }
    Ok(exit::OK)
}
