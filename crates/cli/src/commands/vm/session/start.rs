//! `banger vm session start`

use banger_api::stream::session::MAX_RESTARTS;
use banger_api::stream::{Exec, Restart, SessionInput, SessionStart};
use banger_command::failure::Failure;
use banger_command::secrets::Secrets;
use banger_command::variables::Variables;
use banger_command::{complete, connection, exit, print, terminal};
use banger_model::ByteSize;
use clap::ValueEnum;

use super::attach;

/// Start a command that runs on when you leave
///
/// It is a process of the guest's: this terminal, the daemon and even the guest's agent may end, and it runs on. It ends with
/// its VM. Its output is kept on the guest's disk. The directory and the programs that it needs are looked at first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm session start web -- make test
  banger vm session start web --name shell -t              a login shell, for `session attach`
  banger vm session start web --name srv -w /root/repo --require-command node --restart on-failure -- npm start
  banger vm session start web --stdin pipe -- ./worker     takes what `session send` sends
  banger vm session start web --secret API_TOKEN -- ./bot  finds it in /run/banger/secrets/API_TOKEN")]
pub(crate) struct Args {
    #[arg(add = complete::vms())]
    vm: String,
    /// What it is called; after its program when absent
    #[arg(long, short)]
    name: Option<String>,
    /// Its working directory; the image's, or the user's home when absent
    #[arg(long, short = 'w', value_name = "DIR", visible_alias = "workdir")]
    cwd: Option<String>,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    secrets: Secrets,
    /// Who runs it, as USER or USER:GROUP; the image's user, or root when absent
    #[arg(long, short)]
    user: Option<String>,
    /// Give it a terminal, which clients that attach see and type into
    #[arg(long, short)]
    tty: bool,
    /// What it reads without a terminal: nothing, or what clients send
    #[arg(long, value_enum, default_value_t = Stdin::Closed, conflicts_with = "tty")]
    stdin: Stdin,
    /// A program that has to be there, or it is not started
    #[arg(long, value_name = "COMMAND")]
    require_command: Vec<String>,
    /// Whether it is started again when it fails: after a second, then after two, four and so on
    #[arg(long, value_enum, default_value_t = When::Never)]
    restart: When,
    /// How often in a row; one that ran for a minute begins anew
    #[arg(long, value_name = "COUNT", default_value_t = MAX_RESTARTS)]
    max_restarts: u32,
    /// How much of its output is kept; the oldest goes first
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    log_max: ByteSize,
    /// Attach to it at once
    #[arg(long, short)]
    attach: bool,
    /// Print the session as JSON
    #[arg(long, conflicts_with = "attach")]
    json: bool,
    /// The command and its arguments; a login shell when absent
    #[arg(last = true, value_name = "COMMAND")]
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
    if args.command.is_empty() && !args.tty {
        let hint = "give it a terminal with `-t`, or a command after `--`";
        return Err(Failure::new(
            "a shell without a terminal would end at once",
            &[hint],
        ));
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
    if args.json {
        print::json(&session)?;
    } else {
        print::line(&session.name);
    }
    Ok(exit::OK)
}
