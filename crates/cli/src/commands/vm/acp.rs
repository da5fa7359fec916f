//! `banger vm acp`

use banger_api::stream::{Control, Exec};
use banger_api::{GUEST_PATH, WORKSPACE_LABEL, user_env};
use banger_client::{Client, Received, Session};
use banger_command::failure::Failure;
use banger_command::variables::Variables;
use banger_command::{complete, connection, session};

/// The agent program, and its subcommand for the Agent Client Protocol.
const AGENT: [&str; 2] = ["opencode", "acp"];

/// Connect an editor to the coding agent in a VM, over standard input and output
///
/// Runs `opencode acp` in the VM, in the repository if there is one. Editors that support the Agent Client Protocol
/// start this command as their agent. All bytes are passed through unchanged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm acp web
  banger vm acp web --cwd /srv/app -e OPENCODE_CONFIG=/root/opencode.json")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// Working directory in the VM; the repository or the user's home if omitted
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    #[command(flatten)]
    variables: Variables,
}

pub(super) async fn run(args: Args) -> Result<i32, Failure> {
    go(args).await.map_err(Failure::unless_of_guest)
}

async fn go(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await?;
    let vm = client.vm(&args.name).await?;
    let workspace = vm.labels.get(WORKSPACE_LABEL).cloned();
    // The default directory of a repository, if no label names one.
    let guess = args.cwd.is_none() && workspace.is_none();
    let mut exec = Exec {
        argv: AGENT.map(str::to_owned).to_vec(),
        env: args.variables.all(),
        // The image's user, who owns the repository.
        user: None,
        cwd: args.cwd.or(workspace).or_else(|| Some(GUEST_PATH.to_owned())),
        tty: None,
        user_env: user_env::of_process(false),
    };
    let mut started = start(&client, &args.name, &exec).await?;
    if guess && matches!(&started, Started::Not(_, exit_code) if *exit_code == NO_DIRECTORY) {
        exec.cwd = None;
        started = start(&client, &args.name, &exec).await?;
    }
    match started {
        Started::Runs(joined) => session::attend_to(&args.name, joined, false, session::Input::Ours).await,
        Started::Not(message, exit_code) => {
            let hints: &[&str] = match exit_code {
                127 => &["install opencode in the guest, or use an image that contains it"],
                _ => &[],
            };
            Err(Failure::new(message, hints).exiting(exit_code))
        }
    }
}

/// The exit code of a command that did not start, although its program exists.
const NO_DIRECTORY: i32 = 125;

enum Started {
    Runs(Session),
    /// The reason, and the exit code for it.
    Not(String, i32),
}

/// Starts the agent and waits until it runs, so that no input is consumed for an agent that does not start.
async fn start(client: &Client, vm: &str, exec: &Exec) -> Result<Started, Failure> {
    let mut joined = client.exec(vm, exec).await?;
    match joined.receiver.next().await? {
        Some(Received::Control(Control::Error { failure, exit_code })) => {
            Ok(Started::Not(failure.message, exit_code))
        }
        Some(_) => Ok(Started::Runs(joined)),
        None => Err(Failure::new("the connection to the guest was lost", &[])),
    }
}
