//! `banger vm shell`

use banger_api::WORKSPACE_LABEL;
use banger_api::stream::Exec;
use banger_command::failure::Failure;
use banger_command::{complete, connection, session, terminal};

/// Open a shell in a VM
///
/// Runs the user's login shell, in the repository if `vm run` copied one into the VM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  banger vm shell web
  banger vm shell web --user postgres --workdir /srv")]
pub(crate) struct Args {
    /// Name of the VM
    #[arg(add = complete::vms())]
    name: String,
    /// User whose shell to open; the image's user if omitted, usually root
    #[arg(long, short)]
    user: Option<String>,
    /// Directory to start the shell in
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<i32, Failure> {
    let client = connection::connect().await.map_err(Failure::before_command)?;
    let vm = client
        .vm(&args.name)
        .await
        .map_err(|error| Failure::from(error).before_command())?;
    let exec = Exec {
        cwd: args.workdir.or_else(|| vm.labels.get(WORKSPACE_LABEL).cloned()),
        user: args.user,
        // Without a terminal, the shell reads a script from standard input.
        tty: terminal::is_interactive().then(terminal::tty),
        ..Exec::default()
    };
    session::run(&client, &args.name, &exec, session::Input::Ours).await
}
