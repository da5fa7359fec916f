//! Why a repository's wishes are not followed.

use std::path::PathBuf;

use banger_model::network::Allow;
use banger_model::{Describe, Description, ErrorCode};

use crate::suggestion::suggestion;

/// A repository's wishes cannot be understood, or may not be granted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is longer than any such file.
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLong(PathBuf),
    /// A link that leads out of the repository, or through another one.
    #[error("{} is a symbolic link that does not lead to a file of the repository", .0.display())]
    Link(PathBuf),
    /// It is no text.
    #[error("{} is not valid UTF-8", .0.display())]
    NoText(PathBuf),
    /// More of something than any repository needs.
    #[error("{} requests {count} {what}: a repository can request at most {most}", .path.display())]
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
    #[error("failed to parse {}", .path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It is no JSON with comments.
    #[error("failed to parse {}", .path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: jsonc_parser::errors::ParseError,
    },
    /// A value is not what its key takes.
    #[error("invalid `{key}` in {}: expected {expected}", .path.display())]
    Value {
        /// Which.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// Neither an image's name nor a registry's reference.
    #[error("invalid image reference `{text}` in {}: expected an image of a registry", .path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// What is written.
        text: String,
    },
    /// A rule that would open something of the host's.
    #[error("{}: a repository cannot allow `{rule}`", .path.display())]
    Rule {
        /// Which.
        path: PathBuf,
        /// What is written.
        rule: String,
    },
    /// A text that is no rule.
    #[error("invalid network rule in {}", .path.display())]
    NoRule {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_model::network::InvalidAllow,
    },
    /// A port that others than this host could reach.
    #[error("{}: a repository cannot publish `{port}` beyond loopback", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// The port.
        port: String,
    },
}

impl Describe for Error {
    fn describe(&self) -> Description {
        let own = match self {
            Self::Toml { source, .. } => suggestion(source.message()),
            Self::Rule { rule, .. } => Some(format!(
                "to allow it yourself, add `--allow {rule}`{}",
                match rule.parse::<Allow>() {
                    Ok(Allow::Host(_)) => ", or `vm forward add --reverse` for one port",
                    _ => "",
                }
            )),
            Self::Open { port, .. } => Some(format!("to publish it yourself, add `-p {port} --open`")),
            _ => None,
        };
        Description::from(ErrorCode::InvalidRequest)
            .with_hints(own)
            .and("`--no-repo-config` ignores the repository configuration")
    }
}
