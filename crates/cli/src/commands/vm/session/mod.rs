//! `banger vm session`

mod attach;
mod kill;
mod list;
pub(super) mod logs;
mod rm;
mod send;
mod show;
mod signal;
mod start;
mod stop;
mod wait;

use banger_command::failure::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Start(start::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    Show(show::Args),
    Attach(attach::Args),
    Send(send::Args),
    Logs(logs::Args),
    Wait(wait::Args),
    Signal(signal::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    #[command(visible_alias = "delete")]
    Rm(rm::Args),
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Start(args) => start::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Attach(args) => attach::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Logs(args) => logs::run(args).await,
        Command::Wait(args) => wait::run(args).await,
        Command::Signal(args) => signal::run(args).await,
        Command::Stop(args) => stop::run(args).await,
        Command::Kill(args) => kill::run(args).await,
        Command::Rm(args) => rm::run(args).await,
    }
}
