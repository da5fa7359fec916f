//! Parses the command line, and prints its errors.

use std::ffi::OsString;

use banger_command::failure::Failure;
use banger_command::{exit, print};
use banger_model::printable_bytes;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::commands::Cli;
use crate::synonyms;

/// Parses the command line. Otherwise prints the error, or the help that was requested, and returns the exit code.
pub(crate) fn parse() -> Result<Cli, i32> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    Cli::try_parse_from(&arguments).map_err(|error| explain(&error, &arguments))
}

fn explain(error: &clap::Error, arguments: &[OsString]) -> i32 {
    if matches!(error.kind(), ErrorKind::InvalidUtf8) {
        return not_text(arguments);
    }
    // An error quotes arguments, which may be file names of a stranger: it is rebuilt from escaped arguments.
    let shown = shown(arguments);
    let again = match shown.iter().eq(arguments) {
        true => None,
        false => Cli::command().try_get_matches_from(shown).err(),
    };
    let error = again.as_ref().unwrap_or(error);
    if let Some(failure) = synonyms::failure(error, &Cli::command()) {
        return failure.report();
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

fn shown(arguments: &[OsString]) -> Vec<OsString> {
    let shown = arguments
        .iter()
        .map(|argument| printable_bytes(argument.as_encoded_bytes()));
    shown.map(OsString::from).collect()
}

/// Reports an argument that is not UTF-8. Paths may be any bytes; names, labels and commands may not.
fn not_text(arguments: &[OsString]) -> i32 {
    let bad = arguments.iter().find(|argument| argument.to_str().is_none());
    let bad = bad.map(|argument| printable_bytes(argument.as_encoded_bytes()));
    let message = format!("invalid argument \"{}\": not UTF-8", bad.unwrap_or_default());
    let hint = "let a shell in the guest produce the bytes: `sh -c 'printf \"\\\\377\"'`";
    Failure::new(message, &[hint]).exiting(exit::USAGE).report()
}
