//! `banger vm`

mod acp;
mod bootstrap;
mod code;
mod commit;
pub(crate) mod cp;
mod create;
pub(crate) mod delete;
mod edit;
mod egress;
pub(crate) mod exec;
mod forward;
mod kill;
pub(crate) mod list;
pub(crate) mod logs;
mod ports;
mod rename;
mod restart;
mod reuse;
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
use banger_command::named::Named;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them, parsed once")]
pub(crate) enum Command {
    Run(Named<run::Args>),
    Create(Named<create::Args>),
    Start(Named<start::Args>),
    Stop(Named<stop::Args>),
    Kill(Named<kill::Args>),
    Restart(Named<restart::Args>),
    #[command(visible_alias = "rm")]
    Delete(Named<delete::Args>),
    #[command(visible_alias = "ls")]
    List(Named<list::Args>),
    #[command(alias = "inspect")]
    Show(Named<show::Args>),
    Exec(Named<exec::Args>),
    Shell(Named<shell::Args>),
    Ssh(Named<ssh::Args>),
    Code(Named<code::Args>),
    #[command(hide = true)]
    SshProxy(Named<ssh_proxy::Args>),
    #[command(hide = true)]
    SshKeys(Named<ssh_proxy::KeysArgs>),
    Logs(Named<logs::Args>),
    Ports(Named<ports::Args>),
    /// Manage port forwards between this host and VMs
    #[command(subcommand)]
    Forward(Named<forward::Command>),
    Egress(Named<egress::Args>),
    /// Manage detached sessions: commands that outlive their client
    #[command(subcommand)]
    Session(Named<session::Command>),
    Acp(Named<acp::Args>),
    Cp(Named<cp::Args>),
    /// Manage repositories in VMs: copy them in, review changes, bring work back
    #[command(subcommand)]
    Workspace(Named<workspace::Command>),
    Sync(Named<sync::Args>),
    Set(Named<set::Args>),
    Edit(Named<edit::Args>),
    Rename(Named<rename::Args>),
    Wait(Named<wait::Args>),
    Commit(Named<commit::Args>),
    /// Remove all VMs that are not running
    #[command(after_help = "\
Examples:
  banger vm prune --dry-run                      print what would be removed
  banger vm prune --yes                          do not ask")]
    Prune(Named<prune::Args>),
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Run(Named(args)) => run::run(args).await,
        Command::Create(Named(args)) => create::run(args).await,
        Command::Start(Named(args)) => start::run(args).await,
        Command::Stop(Named(args)) => stop::run(args).await,
        Command::Kill(Named(args)) => kill::run(args).await,
        Command::Restart(Named(args)) => restart::run(args).await,
        Command::Delete(Named(args)) => delete::run(args).await,
        Command::List(Named(args)) => list::run(args).await,
        Command::Show(Named(args)) => show::run(args).await,
        Command::Exec(Named(args)) => exec::run(args).await,
        Command::Shell(Named(args)) => shell::run(args).await,
        Command::Ssh(Named(args)) => ssh::run(args).await,
        Command::Code(Named(args)) => code::run(args).await,
        Command::SshProxy(Named(args)) => ssh_proxy::run(args).await,
        Command::SshKeys(Named(args)) => ssh_proxy::keys(args).await,
        Command::Logs(Named(args)) => logs::run(args).await,
        Command::Ports(Named(args)) => ports::run(args).await,
        Command::Forward(Named(command)) => forward::run(command).await,
        Command::Egress(Named(args)) => egress::run(args).await,
        Command::Session(Named(command)) => session::run(command).await,
        Command::Acp(Named(args)) => acp::run(args).await,
        Command::Cp(Named(args)) => cp::run(args).await,
        Command::Workspace(Named(command)) => workspace::run(command).await,
        Command::Sync(Named(args)) => sync::run(args).await,
        Command::Set(Named(args)) => set::run(args).await,
        Command::Edit(Named(args)) => edit::run(args).await,
        Command::Rename(Named(args)) => rename::run(args).await,
        Command::Wait(Named(args)) => wait::run(args).await,
        Command::Commit(Named(args)) => commit::run(args).await,
        Command::Prune(Named(args)) => prune::run(prune::What::Vms, args).await,
    }
}
