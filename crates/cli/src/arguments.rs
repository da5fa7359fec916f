//! Parses the command line, and prints its errors.

use std::ffi::{OsStr, OsString};

use banger_command::failure::Failure;
use banger_command::{exit, named, output, print};
use banger_model::printable_bytes;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::commands::Cli;
use crate::{synonyms, topics};

/// Parses the command line. Otherwise prints the error, or the help that was requested, and returns the exit code.
pub(crate) fn parse() -> Result<Cli, i32> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(cli) = quickly(&arguments) {
        return Ok(cli);
    }
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

/// Parses a command line that names its commands and is right.
fn quickly(arguments: &[OsString]) -> Option<Cli> {
    let named = named::only(arguments, Cli::command);
    let matches = named.try_get_matches_from(arguments).ok()?;
    if !named::are_named(&matches, arguments) {
        return None;
    }
    let cli = Cli::from_arg_matches(&matches).ok()?;
    output::note(&matches);
    Some(cli)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn whole(line: &str) -> Option<Cli> {
        let matches = Cli::command().try_get_matches_from(words(line)).ok()?;
        Cli::from_arg_matches(&matches).ok()
    }

    #[test]
    fn a_tree_of_the_named_commands_understands_the_same() {
        let lines = [
            "banger vm list",
            "banger vm list --json",
            "banger vm list -q",
            "banger vm exec web ls -la",
            "banger vm exec -it web vm exec list",
            "banger exec web -- run --rm",
            "banger run --rm vm run --rm",
            "banger vm run -w list make test",
            "banger vm session start web name vm list",
            "banger vm delete -f delete list",
            "banger vm workspace pull vm",
            "banger image pull pull",
            "banger image catalog list",
            "banger system install --dry-run",
            "banger version",
        ];
        for line in lines {
            let quick = quickly(&words(line)).unwrap_or_else(|| panic!("{line} needs the whole tree"));
            assert_eq!(
                format!("{quick:?}"),
                format!("{:?}", whole(line).unwrap()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_names_no_command_or_is_wrong_is_left_to_the_whole_tree() {
        let lines = [
            // Aliases, which are names of commands that were not built.
            "banger vm ls",
            "banger vm rm -f web",
            "banger vm inspect web",
            "banger",
            "banger vm",
            "banger --version",
            "banger vm exec --help",
            "banger vm no-such-command",
            "banger vm exec",
            "banger vm list --no-such-option",
            "banger help vm list",
        ];
        for line in lines {
            assert!(quickly(&words(line)).is_none(), "{line}");
        }
        assert!(whole("banger vm ls").is_some() && whole("banger vm rm -f web").is_some());
        // An alias beside a word that is the name of what it stands for.
        let both = "banger vm rm -f delete";
        if let Some(quick) = quickly(&words(both)) {
            assert_eq!(format!("{quick:?}"), format!("{:?}", whole(both).unwrap()));
        }
    }
}
