//! Why a repository's wishes are not followed.

use std::path::PathBuf;

use banger_model::network::Allow;
use banger_model::{Describe, ErrorCode};

use crate::suggestion::suggestion;

/// A repository's wishes cannot be understood, or may not be granted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is longer than any such file.
    #[error("{} has more than 1 MiB", .0.display())]
    TooLong(PathBuf),
    /// A link that leads out of the repository, or through another one.
    #[error("{} is a link that leads to no file of the repository", .0.display())]
    Link(PathBuf),
    /// It is no text.
    #[error("{} is not UTF-8", .0.display())]
    NoText(PathBuf),
    /// More of something than any repository needs.
    #[error("{} asks for {count} {what}, of which a repository may have {most}", .path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
        /// What was done.
        what: &'static str,
        /// How many.
        count: usize,
        /// The most there may be.
        most: usize,
    },
    /// It is no TOML, or a key or value is wrong.
    #[error("understand {}", .path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It is no JSON with comments.
    #[error("understand {}", .path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: jsonc_parser::errors::ParseError,
    },
    /// A value is not what its key takes.
    #[error("{}: `{key}` is not {expected}", .path.display())]
    Value {
        /// Which.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// Neither an image's name nor a registry's reference.
    #[error("{}: `{text}` is no image of a registry", .path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// What is written.
        text: String,
    },
    /// A rule that would open something of the host's.
    #[error("{}: `{rule}` is not a repository's to allow", .path.display())]
    Rule {
        /// Which.
        path: PathBuf,
        /// What is written.
        rule: String,
    },
    /// A text that is no rule.
    #[error("{}: understand a rule", .path.display())]
    NoRule {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_model::network::InvalidAllow,
    },
    /// A port that others than this host could reach.
    #[error("{}: `{port}` is beyond loopback, which is not a repository's to open", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// The port.
        port: String,
    },
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidRequest
    }

    fn hints(&self) -> Vec<String> {
        let own = match self {
            Self::Toml { source, .. } => suggestion(source.message()),
            Self::Rule { rule, .. } => Some(format!(
                "if you want it, say so yourself: `--allow {rule}`{}",
                match rule.parse::<Allow>() {
                    Ok(Allow::Host(_)) => ", or `vm forward add --reverse` for one port",
                    _ => "",
                }
            )),
            Self::Open { port, .. } => Some(format!("if you want it, say so yourself: `-p {port} --open`")),
            _ => None,
        };
        let without = "`--no-repo-config` does without the repository's wishes".to_owned();
        own.into_iter().chain([without]).collect()
    }
}
