//! `--json`, `--quiet` and `--verbose`, and the one place that knows whether they were given.
//!
//! `--json` is one option for every command that ends by itself.
//!
//! With it, a result is JSON on standard output, and every line on standard error is a JSON object: an error is the
//! API's `ErrorBody`, anything else that is said is `{"note": …}`. Without it, everything is text.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgMatches, Command};
use serde::Serialize;

use crate::failure::Failure;
use crate::print;

/// The option's id. Commands that have it end by themselves; a test lists those that have not.
pub const ID: &str = "json";

static IS_JSON: AtomicBool = AtomicBool::new(false);
static IS_QUIET: AtomicBool = AtomicBool::new(false);
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);

/// How much a command prints on standard error while it starts a VM.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub struct Verbosity {
    /// Print no progress
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Print how long each stage of the start took
    #[arg(long, short)]
    verbose: bool,
}

/// The form of a command's output.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints a result as JSON, or with `people`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn print<T: Serialize + ?Sized>(self, value: &T, people: impl FnOnce(&T)) -> Result<(), Failure> {
        match self.json {
            true => print::json(value)?,
            false => people(value),
        }
        Ok(())
    }
}

/// Whether the command was asked for JSON.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Whether the command was asked to print no progress.
pub fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Whether the command was asked to print all of its progress.
pub fn is_verbose() -> bool {
    IS_VERBOSE.load(Ordering::Relaxed)
}

/// Notes the form of the output.
pub fn set(output: Output) {
    IS_JSON.store(output.json, Ordering::Relaxed);
}

/// Notes whether a parsed command line asks for JSON, and how much it asks to be printed.
pub fn note(mut matches: &ArgMatches) {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    let asked = |id: &str| {
        let asked = matches.try_get_one::<bool>(id).ok().flatten();
        asked.copied().unwrap_or_default()
    };
    set(Output { json: asked(ID) });
    IS_QUIET.store(asked("quiet"), Ordering::Relaxed);
    IS_VERBOSE.store(asked("verbose"), Ordering::Relaxed);
}

/// Notes whether a command line that cannot be parsed asks for JSON: `--json` is in it, and the command that it names
/// knows the option.
pub fn note_unparsed(cli: &Command, arguments: &[String]) {
    let ours = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    let (mut command, mut asked) = (cli, false);
    for argument in ours {
        asked |= argument == "--json";
        if let Some(below) = command.find_subcommand(argument) {
            command = below;
        }
    }
    let knows = command.get_arguments().any(|argument| argument.get_id() == ID);
    // The command may be the part of the line that is wrong.
    let is_group = command.has_subcommands();
    set(Output {
        json: asked && (knows || is_group),
    });
}
