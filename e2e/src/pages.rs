//! Pages of the documentation as scenarios follow them: their commands, and the files that they ask the reader to write.

use std::iter::Peekable;
use std::str::Lines;

/// A step of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A line to type, and the lines that the page shows as its output.
    Command {
        /// The line, with its comment.
        line: String,
        /// The output; it may be left out, or be a part.
        shown: Vec<String>,
    },
    /// A file in TOML.
    Toml(String),
}

/// The steps of a page in their order: its blocks in `console` and `toml`.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        match line {
            "```console" => commands(&mut lines, &mut steps),
            "```toml" => {
                let text = lines.by_ref().take_while(|line| *line != "```");
                steps.push(Step::Toml(text.flat_map(|line| [line, "\n"]).collect()));
            }
            _ => {}
        }
    }
    steps
}

/// The commands of a block.
fn commands(lines: &mut Peekable<Lines<'_>>, steps: &mut Vec<Step>) {
    for line in lines.by_ref().take_while(|line| *line != "```") {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(line), _) => steps.push(Step::Command {
                line: line.to_owned(),
                shown: Vec::new(),
            }),
            (None, Some(Step::Command { shown, .. })) => shown.push(line.to_owned()),
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_output() {
        let page = "a\n```console\n$ one  # x\nout\n$ two\n```\nb\n```toml\na = 1\n```\n```sh\nmake\n```\n";
        let command = |line: &str, shown: &[&str]| Step::Command {
            line: line.to_owned(),
            shown: shown.iter().map(|line| (*line).to_owned()).collect(),
        };
        let toml = Step::Toml("a = 1\n".to_owned());
        assert_eq!(
            steps(page),
            [command("one  # x", &["out"]), command("two", &[]), toml]
        );
    }
}
