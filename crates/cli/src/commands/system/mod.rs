//! `banger system`: the disk usage of everything, and the root helper as a service of this host.

mod df;
mod install;
mod prune;
mod restart;
mod status;
mod uninstall;

use banger_command::failure::Failure;
use banger_command::output::Output;
use banger_command::print;
use banger_model::network::Room;
use clap::Subcommand;
use serde::Serialize;

use banger_service::perform::{self, perform};
use banger_service::plan::Action;
use banger_service::{Place, look};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Df(df::Args),
    Prune(prune::Args),
    Install(install::Args),
    Status(status::Args),
    Restart(restart::Args),
    Uninstall(uninstall::Args),
}

pub(super) async fn run(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Df(args) => df::run(args).await,
        Command::Prune(args) => prune::run(args).await,
        Command::Install(args) => install::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Restart(args) => restart::run(&args),
        Command::Uninstall(args) => uninstall::run(&args),
    }
}

/// Performs and prints the actions, or only prints them. As JSON, they are one object.
fn carry_out(output: Output, actions: &[Action], dry: bool, owner: Option<u32>) -> Result<(), Failure> {
    if dry {
        return output.print(&Carried::of(actions, dry), |_| {
            actions
                .iter()
                .for_each(|action| print::line(&format!("would {action}")));
        });
    }
    let performed = perform(actions, |action| {
        if !output.json {
            print::line(&action.to_string());
        }
    });
    performed.map_err(|error| {
        let failure = Failure::during("failed to change this system", &error);
        match (error, owner) {
            (perform::Error::Failed { line, words, .. }, Some(owner)) if line.starts_with("systemctl") => {
                failure.with_log(words + &look::journal(owner))
            }
            (perform::Error::Failed { words, .. }, _) => failure.with_log(words),
            _ => failure,
        }
    })?;
    output.print(&Carried::of(actions, dry), |_| ())
}

/// What was changed on this host, or would be.
#[derive(Debug, Serialize)]
struct Carried {
    actions: Vec<String>,
    dry_run: bool,
}

impl Carried {
    fn of(actions: &[Action], dry_run: bool) -> Self {
        Self {
            actions: actions.iter().map(ToString::to_string).collect(),
            dry_run,
        }
    }
}

/// Prints a line beside the result.
fn report(output: Output, text: &str) {
    match output.json {
        true => print::notice(text),
        false => print::line(text),
    }
}

/// The command that starts the helper without systemd, and stops the helper that is running.
fn by_hand(owner: u32, range: Room) -> Result<String, Failure> {
    let program = Place::here().program();
    let start = format!("sudo {} serve --owner {owner} --range {range}", program.display());
    Ok(match look::helper(owner)?.state {
        Some(state) => format!("sudo kill {}; {start}", state.pid),
        None => start,
    })
}
