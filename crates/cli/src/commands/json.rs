//! That `--json` is everywhere.

use banger_command::output::{self, Output};
use clap::{Command, CommandFactory};

use super::Cli;

/// Commands that have no result to print: they are a stream of a guest's bytes, a program that takes over, or a script.
const STREAMS: [&str; 16] = [
    "completion",
    "exec",
    "logs",
    "man",
    "run",
    "shell",
    "vm acp",
    "vm code",
    "vm exec",
    "vm logs",
    "vm run",
    "vm session attach",
    "vm shell",
    "vm ssh",
    "vm ssh-keys",
    "vm ssh-proxy",
];

/// Every command that is no group, with its path.
fn leaves(command: &Command, path: &str, all: &mut Vec<(String, Command)>) {
    if !command.has_subcommands() {
        all.push((path.to_owned(), command.clone()));
    }
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        leaves(below, &format!("{path} {}", below.get_name()), all);
    }
}

fn all() -> Vec<(String, Command)> {
    let mut all = Vec::new();
    leaves(&Cli::command(), "banger", &mut all);
    assert!(all.len() > 60, "an empty walk must not pass");
    all
}

fn knows(command: &Command) -> bool {
    command
        .get_arguments()
        .any(|argument| argument.get_id() == output::ID)
}

#[test]
fn every_command_that_ends_by_itself_knows_json() {
    let mut without: Vec<String> = all()
        .into_iter()
        .filter(|(_, command)| !knows(command))
        .filter_map(|(path, _)| Some(path.split_once(' ')?.1.to_owned()))
        .collect();
    without.sort();
    assert_eq!(without, STREAMS);
}

#[test]
fn a_command_line_that_is_wrong_is_an_error_in_json() {
    let cli = Cli::command();
    for (path, _) in all().into_iter().filter(|(_, command)| knows(command)) {
        let line: Vec<String> = path
            .split(' ')
            .chain(["--json", "--no-such-option"])
            .map(str::to_owned)
            .collect();
        output::note_unparsed(&cli, &line);
        assert!(output::is_json(), "{path}");
        let error = cli.clone().try_get_matches_from(&line).unwrap_err();
        let failure = crate::arguments::as_failure(&error);
        let json = serde_json::to_value(failure.as_json()).unwrap();
        assert_eq!(json["code"], "invalid_request", "{path}");
        assert!(
            json["message"].as_str().unwrap().contains("--no-such-option"),
            "{path}: {json}"
        );
    }
    // The option of a guest's command is not ours.
    let line = ["banger", "exec", "web", "jq", "--json"].map(str::to_owned);
    output::note_unparsed(&cli, &line);
    assert!(!output::is_json());
    output::set(Output::default());
}
