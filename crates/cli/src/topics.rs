//! `banger help TOPIC`: a screen about what several commands have in common.

use banger_command::print;

/// Topics by name, with what they are about.
const TOPICS: [(&str, &str, &str); 3] = [
    (
        "images",
        "where root file systems come from",
        include_str!("topics/images.txt"),
    ),
    (
        "networking",
        "what a VM reaches, and who reaches it",
        include_str!("topics/networking.txt"),
    ),
    (
        "workspaces",
        "your repository in a VM, and its work back",
        include_str!("topics/workspaces.txt"),
    ),
];

/// Prints the topic that a command line asks for, if it does.
pub(crate) fn show(arguments: &[String]) -> bool {
    let [_, help, name] = arguments else {
        return false;
    };
    let topic = TOPICS.iter().find(|(topic, ..)| topic == name);
    match topic.filter(|_| help == "help") {
        Some((_, _, text)) => {
            print::text(text);
            true
        }
        None => false,
    }
}

/// The list for the end of the help.
pub(crate) fn list() -> String {
    let lines = TOPICS
        .iter()
        .map(|(name, about, _)| format!("  {name:<52}   {about}"));
    format!(
        "Topics of `banger help`:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_topic_fits_a_screen_and_hides_no_command() {
        let cli = crate::commands::Cli::command();
        for (name, about, text) in TOPICS {
            // `banger images --help` is about the short form of `banger image list`, which needs no more.
            assert!(
                name == "images" || cli.find_subcommand(name).is_none(),
                "`help {name}` is about a command"
            );
            assert!(
                text.lines().count() <= 24,
                "{name}: {} lines",
                text.lines().count()
            );
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            assert!(list().contains(about));
        }
    }

    /// Every command of a topic is one, as far as its first words.
    #[test]
    fn the_commands_of_a_topic_exist() {
        let cli = crate::commands::Cli::command();
        let mut seen = 0;
        for (name, _, text) in TOPICS {
            for line in text.lines().filter_map(|line| line.trim().split_once("banger ")) {
                let mut command = &cli;
                for word in line.1.split(' ') {
                    match command.find_subcommand(word.trim_matches(['`', '.', ',', ')'])) {
                        Some(below) => command = below,
                        None => break,
                    }
                }
                let is_one = command.get_name() != "banger" && !command.has_subcommands();
                assert!(is_one, "{name}: {}", line.1);
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} were looked at");
    }
}
