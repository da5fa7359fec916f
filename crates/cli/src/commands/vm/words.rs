//! What the words of `vm run` mean: a directory, a command, or both.

use std::path::PathBuf;

use banger_command::exit;
use banger_command::failure::Failure;

/// The words of a command line, as clap separates them.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Words {
    /// Directory of the repository; the current directory if omitted. A word that names no directory begins the command
    path: Option<PathBuf>,
    /// Command and its arguments; the image's entry point or a shell if omitted
    #[arg(num_args = 0.., allow_hyphen_values = true, value_name = "COMMAND")]
    words: Vec<String>,
    /// The same after `--`, where no word is taken for a directory
    #[arg(last = true, hide = true)]
    command: Vec<String>,
}

/// What they mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Where the repository is looked for.
    pub(super) path: PathBuf,
    /// The command; the image's entry point or a shell when empty.
    pub(super) command: Vec<String>,
    /// The only word of a command, which may have been meant as the name of an image.
    pub(super) lone: Option<String>,
}

impl Words {
    /// Understands them, as seen from the current directory.
    pub(super) fn meaning(self) -> Result<Meaning, Failure> {
        let here = PathBuf::from(".");
        let Some(path) = self.path else {
            return Ok(Meaning {
                path: here,
                command: self.command,
                lone: None,
            });
        };
        let first = path.to_str().unwrap_or_default().to_owned();
        // What cannot be a program's name is a path, also where nothing is: then that is the error.
        let is_path = path.is_dir()
            || first.is_empty()
            || (self.words.is_empty() && !self.command.is_empty())
            || (path.has_root() || first.starts_with('.')) && !path.exists();
        let mut words = self.words;
        if is_path {
            if let Some(option) = words.first().filter(|word| word.starts_with('-')) {
                return Err(unknown(option));
            }
            return Ok(Meaning {
                path,
                command: joined(words, self.command),
                lone: None,
            });
        }
        words.insert(0, first.clone());
        let command = joined(words, self.command);
        Ok(Meaning {
            path: here,
            lone: (command.len() == 1).then_some(first),
            command,
        })
    }
}

/// A later `--` is the command's own.
fn joined(mut words: Vec<String>, rest: Vec<String>) -> Vec<String> {
    if !words.is_empty() && !rest.is_empty() {
        words.push("--".to_owned());
    }
    words.extend(rest);
    words
}

/// An option that banger does not have, where a command could begin.
pub(super) fn unknown(option: &str) -> Failure {
    Failure::new(
        format!("unexpected argument \"{}\"", option.escape_debug()),
        &["put options before the command: see `--help`"],
    )
    .exiting(exit::USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        words: Words,
        #[arg(long)]
        rm: bool,
    }

    fn of(line: &[&str]) -> (PathBuf, Vec<String>, Option<String>) {
        let parsed = Command::try_parse_from([&["x"], line].concat()).unwrap();
        let meaning = parsed.words.meaning().unwrap();
        (meaning.path, meaning.command, meaning.lone)
    }

    fn command(line: &[&str]) -> Vec<String> {
        let (path, command, _) = of(line);
        assert_eq!(path, PathBuf::from("."), "{line:?}");
        command
    }

    #[test]
    fn a_command_needs_no_dashes() {
        assert!(command(&[]).is_empty());
        assert_eq!(command(&["make", "test"]), ["make", "test"]);
        assert_eq!(command(&["--rm", "ls", "-la", "--rm"]), ["ls", "-la", "--rm"]);
        assert_eq!(command(&["--", "ls", "-la"]), ["ls", "-la"]);
        assert_eq!(
            command(&["npm", "test", "--", "--watch"]),
            ["npm", "test", "--", "--watch"]
        );
        assert_eq!(command(&["--", "env", "--", "x"]), ["env", "--", "x"]);
    }

    #[test]
    fn a_directory_is_where_the_repository_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        for (line, expected) in [
            (&[path][..], &[][..]),
            (&[path, "--rm"], &[]),
            (&[path, "make"], &["make"]),
            (&[path, "--", "make", "-j"], &["make", "-j"]),
        ] {
            let (found, command, lone) = of(line);
            assert_eq!((found, lone), (dir.path().to_owned(), None), "{line:?}");
            assert_eq!(command, expected, "{line:?}");
        }
        // With `--`, a directory's name is a command.
        assert_eq!(command(&["--", path]), [path]);
    }

    #[test]
    fn a_path_that_is_not_there_is_no_command() {
        for path in ["/no/such/directory", "./none", "../none"] {
            assert_eq!(of(&[path]), (PathBuf::from(path), Vec::new(), None));
        }
        let (path, command, _) = of(&["none", "--", "make"]);
        assert_eq!((path, command), (PathBuf::from("none"), vec!["make".to_owned()]));
        assert_eq!(of(&["ubuntu"]).2.as_deref(), Some("ubuntu"));
        assert_eq!(of(&["ubuntu", "ls"]).2, None);
    }

    #[test]
    fn an_option_that_is_none_is_refused() {
        assert!(Command::try_parse_from(["x", "--none", "ls"]).is_err());
        let parsed = Command::try_parse_from(["x", "/", "--none"]).unwrap();
        assert!(parsed.words.meaning().is_err());
    }
}
