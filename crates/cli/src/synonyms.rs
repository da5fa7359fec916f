//! What people type who come from other tools, and the command that does it here.

use banger_command::exit;
use banger_command::failure::Failure;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words of docker, podman, Lima, Multipass, Vagrant, devcontainers and virsh that no command here has.
const OTHERS: [(&str, &str); 42] = [
    ("attach", "banger vm session attach web shell"),
    ("clean", "banger cache prune"),
    ("connect", "banger vm shell web"),
    ("console", "banger vm logs -f web"),
    ("copy", "banger vm cp ./file web:/tmp"),
    ("create-image", "banger vm commit web --name web-ready"),
    ("destroy", "banger vm delete web"),
    ("down", "banger vm stop web"),
    ("enter", "banger vm shell web"),
    ("env", "banger vm exec web env"),
    ("events", "banger vm list"),
    ("factory-reset", "banger vm delete -f web"),
    ("gc", "banger cache prune"),
    ("halt", "banger vm stop web"),
    ("info", "banger doctor"),
    ("init", "banger setup"),
    ("launch", "banger vm run"),
    ("load", "banger image pull --name mine image.tar"),
    ("login", "banger vm shell web"),
    ("mount", "banger vm sync web .:/root/repo --watch"),
    ("port", "banger vm ports web"),
    ("port-forward", "banger vm forward add web 8080:80"),
    ("poweroff", "banger vm stop web"),
    ("publish-port", "banger vm forward add web 8080:80"),
    ("reboot", "banger vm restart web"),
    ("remove", "banger vm delete web"),
    ("rmi", "banger image delete debian"),
    ("rsync", "banger vm sync web .:/root/repo"),
    ("save", "banger image export debian -o image.tar"),
    ("scp", "banger vm cp ./file web:/tmp"),
    ("shutdown", "banger vm stop web"),
    ("snapshot", "banger vm commit web --name web-ready"),
    ("stats", "banger vm exec web top"),
    ("status", "banger vm list"),
    ("suspend", "banger vm stop web"),
    ("terminate", "banger vm kill web"),
    ("top", "banger vm exec web top"),
    ("transfer", "banger vm cp ./file web:/tmp"),
    ("up", "banger vm run"),
    ("update", "banger daemon restart"),
    ("upgrade", "banger daemon restart"),
    ("use", "banger image default debian"),
];

/// What is wrong with a command that does not exist, with the command that does what was meant.
pub(crate) fn failure(error: &clap::Error, cli: &Command) -> Option<Failure> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let ContextValue::String(word) = error.get(ContextKind::InvalidSubcommand)? else {
        return None;
    };
    let mut hints = known(cli, word);
    hints.extend(suggested(error, word));
    hints.push("`banger --help` lists the commands".to_owned());
    let hints: Vec<&str> = hints.iter().map(String::as_str).collect();
    let failure = Failure::new(format!("unknown command \"{word}\""), &hints);
    Some(failure.exiting(exit::USAGE))
}

/// The commands that have the name elsewhere, or do what other tools call so.
fn known(cli: &Command, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for group in cli.get_subcommands() {
        for command in group.get_subcommands().filter(|command| !command.is_hide_set()) {
            if command.get_name() == word || command.get_all_aliases().any(|alias| alias == word) {
                let (group, name) = (group.get_name(), command.get_name());
                found.push(format!("there is `banger {group} {name}`"));
            }
        }
    }
    let other = OTHERS.iter().find(|(other, _)| *other == word);
    if let Some((_, command)) = other.filter(|_| found.is_empty()) {
        found.push(format!("use, for example, `{command}`"));
    }
    found
}

/// What clap takes it for, if that is one slip of a finger away: others mislead.
fn suggested(error: &clap::Error, word: &str) -> Option<String> {
    let ContextValue::Strings(names) = error.get(ContextKind::SuggestedSubcommand)? else {
        return None;
    };
    let name = names.iter().find(|name| is_slip(word, name))?;
    Some(format!("did you mean `{name}`?"))
}

/// Whether one letter is missing, added or another, or two are exchanged.
fn is_slip(word: &str, name: &str) -> bool {
    let (word, name): (Vec<char>, Vec<char>) = (word.chars().collect(), name.chars().collect());
    let same = word.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let (word, name) = (&word[same..], &name[same..]);
    match (word, name) {
        ([_, word @ ..], [_, name @ ..]) if word == name => true,
        ([a, b, word @ ..], [c, d, name @ ..]) if a == d && b == c && word == name => true,
        ([_, rest @ ..], name) if rest == name => true,
        (word, [_, rest @ ..]) => word == rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn hints(line: &[&str]) -> String {
        let cli = crate::commands::Cli::command();
        let error = cli.clone().try_get_matches_from([&["banger"], line].concat());
        let error = error.unwrap_err();
        format!("{:?}", failure(&error, &cli).unwrap())
    }

    #[test]
    fn verbs_of_other_tools_have_the_command_that_does_it() {
        assert!(hints(&["top"]).contains("banger vm exec web top"));
        assert!(hints(&["vm", "snapshot"]).contains("banger vm commit"));
        assert!(hints(&["stop", "--all"]).contains("`banger vm stop`"));
        let several = hints(&["import"]);
        assert!(several.contains("`banger image import`") && several.contains("`banger kernel import`"));
    }

    #[test]
    fn only_a_slip_is_corrected() {
        assert!(hints(&["vm", "crate"]).contains("`create`"));
        assert!(hints(&["vm", "lsit"]).contains("`list`"));
        assert!(!hints(&["vm", "rneamed"]).contains("prune"));
        assert!(!hints(&["vm", "stats"]).contains("`start`"));
    }

    /// Those that exist need no entry; every entry is a command that exists.
    #[test]
    fn the_table_is_right() {
        let cli = crate::commands::Cli::command();
        for (word, command) in OTHERS {
            assert!(OTHERS.is_sorted(), "the table is sorted");
            let words = command.split(' ');
            let parsed = cli.clone().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
            assert!(
                cli.find_subcommand(word).is_none(),
                "there is a command `{word}` now"
            );
        }
    }
}
