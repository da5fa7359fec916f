//! Parses the command line, and prints its errors.

use std::ffi::{OsStr, OsString};

use banger_command::failure::Failure;
use banger_command::{exit, output, print};
use banger_model::printable_bytes;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::commands::Cli;
use crate::{synonyms, topics};

/// Parses the command line. Otherwise prints the error, or the help that was requested, and returns the exit code.
pub(crate) fn parse() -> Result<Cli, i32> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if topics::show(&shown(&arguments)) {
        return Err(exit::OK);
    }
    let parsed = Cli::command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| {
            output::note(&matches);
            Cli::from_arg_matches(&matches)
        });
    parsed.map_err(|error| explain(&error, &arguments))
}

fn explain(error: &clap::Error, arguments: &[OsString]) -> i32 {
    if matches!(error.kind(), ErrorKind::InvalidUtf8) {
        return not_text(arguments);
    }
    output::note_unparsed(&Cli::command(), &shown(arguments));
    // An error quotes arguments, which may be file names of a stranger: it is rebuilt from escaped arguments.
    let shown = shown(arguments);
    let again = match shown.iter().map(OsStr::new).eq(arguments) {
        true => None,
        false => Cli::command().try_get_matches_from(shown).err(),
    };
    let error = again.as_ref().unwrap_or(error);
    if let Some(failure) = synonyms::failure(error, &Cli::command()) {
        return failure.report();
    }
    if output::is_json() && error.use_stderr() {
        return as_failure(error).report();
    }
    match error.print() {
        Ok(()) => error.exit_code(),
        Err(failed) if error.use_stderr() => {
            drop(failed);
            error.exit_code()
        }
        Err(failed) => print::lost(&failed),
    }
}

/// The same error, for JSON: its first paragraph, with the tips as hints.
pub(crate) fn as_failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let message: Vec<&str> = paragraphs
        .next()
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .collect();
    let message = message.join(" ");
    let lines = paragraphs.flat_map(str::lines);
    let tips: Vec<&str> = lines
        .filter_map(|line| line.trim().strip_prefix("tip: "))
        .collect();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    Failure::new(message, &tips).exiting(exit::USAGE)
}

fn shown(arguments: &[OsString]) -> Vec<String> {
    let shown = arguments
        .iter()
        .map(|argument| printable_bytes(argument.as_encoded_bytes()));
    shown.collect()
}

/// Reports an argument that is not UTF-8. Paths may be any bytes; names, labels and commands may not.
fn not_text(arguments: &[OsString]) -> i32 {
    let bad = arguments.iter().find(|argument| argument.to_str().is_none());
    let bad = bad.map(|argument| printable_bytes(argument.as_encoded_bytes()));
    let message = format!("invalid argument \"{}\": not UTF-8", bad.unwrap_or_default());
    let hint = "let a shell in the guest produce the bytes: `sh -c 'printf \"\\\\377\"'`";
    Failure::new(message, &[hint]).exiting(exit::USAGE).report()
}
