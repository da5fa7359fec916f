//! The `--env` and `--env-file` options that several commands share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use crate::values::assignment;

/// More than all variables of a command may have (execve(2)); `/dev/zero` has no end.
const LARGEST_FILE: u64 = 1 << 20;

/// Variables of a command.
#[derive(Debug, clap::Args)]
pub struct Variables {
    /// Environment variable to set; NAME alone copies the value from your environment; repeatable
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = assignment)]
    env: Vec<(String, String)>,
    /// File of variables, one NAME=VALUE or NAME per line; --env and later files take precedence
    #[arg(long, value_name = "FILE", value_parser = file, value_hint = clap::ValueHint::FilePath)]
    env_file: Vec<Lines>,
}

impl Variables {
    /// All variables.
    pub fn all(self) -> BTreeMap<String, String> {
        let files = self.env_file.into_iter().flat_map(|lines| lines.0);
        files.chain(self.env).collect()
    }
}

/// The variables of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(Vec<(String, String)>);

fn file(path: &str) -> Result<Lines, String> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut text))
        .map_err(|error| format!("failed to read the file: {error}"))?;
    if text.len() as u64 > LARGEST_FILE {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    let text = String::from_utf8(text).map_err(|_| "the file is not UTF-8".to_owned())?;
    parse(&text, |name| std::env::var(name).ok())
}

/// The format of `docker run --env-file`: one variable per line. The value is everything after the first `=`,
/// including quotes and spaces. A name alone takes its value from the environment, if it has one there. Lines that
/// begin with `#` are ignored.
fn parse(text: &str, here: impl Fn(&str) -> Option<String>) -> Result<Lines, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, here(line)),
        };
        // The line is not printed, because it may contain a secret.
        let number = index + 1;
        if name.is_empty() {
            return Err(format!("line {number} has no name: expected NAME=VALUE"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!(
                "line {number} has a space in its name: expected NAME=VALUE"
            ));
        }
        if name.contains('\0') || value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(format!("line {number} has a zero byte"));
        }
        variables.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(Lines(variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(text, |name| (name == "HERE").then(|| "from here".to_owned())).map(|lines| lines.0)
    }

    #[test]
    fn a_line_is_taken_as_docker_takes_it() {
        let text =
            "\u{feff}# a comment\r\n\n  A=1\r\nB=\"quoted\" \n\tC=a=b # no comment\nD=\nHERE\nNOWHERE\n";
        let pairs = parsed(text).unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "\"quoted\" "),
                ("C", "a=b # no comment"),
                ("D", ""),
                ("HERE", "from here")
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_told_by_its_number_alone() {
        for (text, said) in [
            ("A=1\n=secret", "line 2 has no name"),
            ("export A=secret", "line 1 has a space"),
            ("A =secret", "line 1 has a space"),
            ("A=\0secret", "line 1 has a zero byte"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.starts_with(said) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_said_on_the_command_line_goes_before() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = Variables {
            env: vec![pair("A", "said")],
            env_file: vec![
                Lines(vec![pair("A", "first"), pair("B", "first")]),
                Lines(vec![pair("B", "second")]),
            ],
        };
        assert_eq!(
            variables.all(),
            [pair("A", "said"), pair("B", "second")].into_iter().collect()
        );
    }
}
