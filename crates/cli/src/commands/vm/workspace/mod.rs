//! `banger vm workspace`

mod apply;
mod diff;
mod export;
mod prepare;
mod pull;
mod status;
mod unsaved;
mod which;

use banger_command::failure::Failure;
use clap::Subcommand;

pub(super) use self::prepare::{print_placed, print_plan};
pub(super) use self::unsaved::{Ending, bring_back, report};
pub(super) use self::which::Taken;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(visible_alias = "put")]
    Prepare(prepare::Args),
    Status(status::Args),
    Diff(diff::Args),
    Export(export::Args),
    Pull(pull::Args),
    Apply(apply::Args),
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Prepare(args) => prepare::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Diff(args) => diff::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Pull(args) => pull::run(args).await,
        Command::Apply(args) => apply::run(args).await,
    }
}
