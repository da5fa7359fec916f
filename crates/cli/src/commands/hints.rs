//! Checks that banger accepts every command that it shows: in hints, fixes and notes, in help texts, and in the
//! documentation.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Command, CommandFactory};

use super::Cli;

/// Replacements for the arguments of hints that are built with `format!`, applied in this order.
const VALUES: [(&str, &str); 15] = [
    ("banger {} prune{more}", "banger image prune --all"),
    ("allow{}", "allow"),
    (":{}", ":80"),
    ("{udp}", ""),
    ("{net}", ""),
    ("{options}", ""),
    ("{kind}", "image"),
    ("{port}", "80"),
    ("{path}", "/root/repo"),
    ("{word}", "/root/repo"),
    ("{preferred}", "172.16.0.0/24"),
    ("exec {} {vm}", "exec --secret TOKEN web"),
    ("{0}", "web"),
    ("{vm}{}", "web"),
    ("{}", "web"),
];

/// Texts in the source that look like commands but are not for users to type.
const NONE: [&str; 5] = [
    "banger {group} {name}",
    "banger image export",
    "banger catalog, timestamp:{}",
    "banger {ours}",
    "sudo banger ",
];

pub(super) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(super) fn files(dir: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, end, found);
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
}

/// Source without comments and tests, with strings of several lines joined.
fn source(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut all = String::new();
    let mut goes_on = false;
    for line in lines {
        let line = if goes_on { line.trim_start() } else { line };
        goes_on = line.ends_with('\\');
        all.push_str(line.strip_suffix('\\').unwrap_or(line));
        if !goes_on {
            all.push('\n');
        }
    }
    all
}

/// The commands in a source file: between backticks, or as a whole string; alone or behind others.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for mark in ['`', '"'] {
        for begin in ["banger ", "sudo banger ", "mmdebstrap "] {
            let opening = format!("{mark}{begin}");
            let mut rest = text;
            while let Some(at) = rest.find(&opening) {
                rest = &rest[at + 1..];
                let end = rest.find(mark).unwrap_or(rest.len());
                found.push(rest[..end].to_owned());
            }
        }
    }
    // Behind something else that is run first.
    for (at, _) in text.match_indices("&& banger ") {
        let Some(open) = text[..at]
            .rfind(['`', '"', '\n'])
            .filter(|open| !text[*open..].starts_with('\n'))
        else {
            continue;
        };
        let (mark, rest) = text[open..].split_at(1);
        found.push(rest.split(mark).next().unwrap_or_default().to_owned());
    }
    found.retain(|text| !text.contains('<') && !NONE.contains(&text.as_str()));
    found
}

/// Splits a line into words, like a shell.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in text.chars() {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, char) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// The parts of a shell line that run banger.
fn parts(line: &str) -> Vec<Vec<String>> {
    let line = line.split("  #").next().unwrap_or_default();
    let line = line.replace(" > ", "\nto ");
    let ends = line
        .replace(" && ", "\n")
        .replace(" | ", "\n")
        .replace("; ", "\n");
    let parts = ends.lines().map(words);
    let parts = parts.filter_map(|mut words| {
        // With root's rights, or variables of its own.
        let is_before = |word: &String| word == "sudo" || word.contains('=');
        let before = words.iter().take_while(|word| is_before(word)).count();
        words.drain(..before);
        (words.first()? == "banger").then_some(words)
    });
    parts.collect()
}

/// Why banger rejects this command.
fn refusal(words: &[String]) -> Option<String> {
    match Cli::command().try_get_matches_from(words) {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => None,
        // A group of commands prints its commands.
        Err(error)
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && words.len() > 1 =>
        {
            None
        }
        // Files in examples do not exist.
        Err(error) if error.to_string().contains("failed to read the file") => None,
        Err(error) => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

fn is_placeholder(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|char| char.is_ascii_uppercase() || char == '_')
}

#[test]
fn every_command_of_a_hint_can_be_run_as_it_is() {
    let mut all = Vec::new();
    files(&top().join("crates"), "rs", &mut all);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in all {
        let of_source = file.components().any(|part| part.as_os_str() == "src");
        if !of_source || file.ends_with("cli/src/commands/hints.rs") {
            continue;
        }
        for line in shown(&source(&file)) {
            let mut filled = line.replace("\\\"", "\"");
            for (name, value) in VALUES {
                filled = filled.replace(name, value);
            }
            // Any other argument is a name.
            while let Some((before, (_, after))) = filled
                .split_once('{')
                .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
            {
                filled = format!("{before}web{after}");
            }
            for words in parts(&filled) {
                seen += 1;
                let placeholder = words.iter().find(|word| is_placeholder(word) && *word != "TOKEN");
                let why = placeholder
                    .map(|word| format!("{word} is a placeholder"))
                    .or_else(|| refusal(&words));
                if let Some(why) = why {
                    wrong.push(format!("{}: `{line}`: {why}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 60, "only {seen} were found");
}

/// The commands of examples in help texts; text after two spaces is a comment.
fn examples(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
    let commands = lines.map(|line| line.split("  ").next().unwrap_or_default());
    commands.filter(|line| line.contains("banger "))
}

fn walk(command: &Command, work: &mut dyn FnMut(&Command)) {
    work(command);
    for command in command.get_subcommands() {
        walk(command, work);
    }
}

#[test]
fn every_example_of_a_help_text_is_taken() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    walk(&Cli::command(), &mut |command| {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in examples(&help) {
            for words in parts(line) {
                seen += 1;
                if let Some(why) = refusal(&words) {
                    wrong.push(format!("{}: `{line}`: {why}", command.get_name()));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} were found");
}

#[test]
fn every_command_of_the_documentation_is_taken() {
    let mut all = vec![top().join("README.md")];
    files(&top().join("docs"), "md", &mut all);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap().replace("\\\n", "");
        // Every second part is inside a fence.
        for block in text.split("```").skip(1).step_by(2) {
            let mut lines = block.lines();
            if !matches!(lines.next(), Some("sh" | "console")) {
                continue;
            }
            for line in lines {
                let line = line.trim().trim_start_matches("$ ");
                let line = line.split(" #").next().unwrap_or_default();
                for words in parts(line) {
                    // An ellipsis or a choice.
                    if words
                        .iter()
                        .any(|word| word.contains('…') || word.contains('[') || word.contains('<'))
                    {
                        continue;
                    }
                    seen += 1;
                    if let Some(why) = refusal(&words) {
                        wrong.push(format!("{}: `{line}`: {why}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 60, "only {seen} were found");
}
