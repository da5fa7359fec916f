//! `banger vm`

mod acp;
mod bootstrap;
mod code;
mod commit;
pub(crate) mod cp;
mod create;
pub(crate) mod delete;
mod egress;
pub(crate) mod exec;
mod forward;
mod kill;
pub(crate) mod list;
pub(crate) mod logs;
mod ports;
mod rename;
mod restart;
pub(crate) mod run;
mod session;
mod set;
pub(crate) mod shape;
pub(crate) mod shell;
mod show;
mod ssh;
mod ssh_proxy;
mod start;
mod starting;
mod stop;
mod sync;
mod tty;
mod wait;
pub(crate) mod wishes;
mod words;
mod workspace;

use banger_cli_stores::prune;
use banger_command::failure::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them, parsed once")]
pub(crate) enum Command {
    Run(run::Args),
    Create(create::Args),
    Start(start::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    Restart(restart::Args),
    #[command(visible_alias = "rm")]
    Delete(delete::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    #[command(alias = "inspect")]
    Show(show::Args),
    Exec(exec::Args),
    Shell(shell::Args),
    Ssh(ssh::Args),
    Code(code::Args),
    #[command(hide = true)]
    SshProxy(ssh_proxy::Args),
    #[command(hide = true)]
    SshKeys(ssh_proxy::KeysArgs),
    Logs(logs::Args),
    Ports(ports::Args),
    /// Manage port forwards between this host and VMs
    #[command(subcommand)]
    Forward(forward::Command),
    Egress(egress::Args),
    /// Manage detached sessions: commands that outlive their client
    #[command(subcommand)]
    Session(session::Command),
    Acp(acp::Args),
    Cp(cp::Args),
    /// Manage repositories in VMs: copy them in, review changes, bring work back
    #[command(subcommand)]
    Workspace(workspace::Command),
    Sync(sync::Args),
    Set(set::Args),
    Rename(rename::Args),
    Wait(wait::Args),
    Commit(commit::Args),
    /// Remove all VMs that are not running
    #[command(after_help = "\
Examples:
  banger vm prune --dry-run                      print what would be removed
  banger vm prune --yes                          do not ask")]
    Prune(prune::Args),
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Create(args) => create::run(args).await,
        Command::Start(args) => start::run(args).await,
        Command::Stop(args) => stop::run(args).await,
        Command::Kill(args) => kill::run(args).await,
        Command::Restart(args) => restart::run(args).await,
        Command::Delete(args) => delete::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Exec(args) => exec::run(args).await,
        Command::Shell(args) => shell::run(args).await,
        Command::Ssh(args) => ssh::run(args).await,
        Command::Code(args) => code::run(args).await,
        Command::SshProxy(args) => ssh_proxy::run(args).await,
        Command::SshKeys(args) => ssh_proxy::keys(args).await,
        Command::Logs(args) => logs::run(args).await,
        Command::Ports(args) => ports::run(args).await,
        Command::Forward(command) => forward::run(command).await,
        Command::Egress(args) => egress::run(args).await,
        Command::Session(command) => session::run(command).await,
        Command::Acp(args) => acp::run(args).await,
        Command::Cp(args) => cp::run(args).await,
        Command::Workspace(command) => workspace::run(command).await,
        Command::Sync(args) => sync::run(args).await,
        Command::Set(args) => set::run(args).await,
        Command::Rename(args) => rename::run(args).await,
        Command::Wait(args) => wait::run(args).await,
        Command::Commit(args) => commit::run(args).await,
        Command::Prune(args) => prune::run(prune::What::Vms, args).await,
    }
}
