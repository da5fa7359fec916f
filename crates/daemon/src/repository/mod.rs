//! What a repository asks of the VM that it goes into.
//!
//! ```text
//!  banger.toml ─────────▶ own ──────────┐
//!  devcontainer.json ───▶ devcontainer ─┼─▶ Wishes ──▶ limits (what a repository may not ask)
//!  .tool-versions, … ───▶ TOOLS ────────┘
//! ```
//!
//! Whoever wrote the repository wrote these files, so they are read as a stranger's: they may shape the VM and let it
//! reach the public Internet, and nothing of the host's.

mod ceilings;
mod decisions;
mod devcontainer;
mod files;
mod limits;
mod own;
pub(crate) mod trust;

use std::path::{Path, PathBuf};

use banger_api::Wishes;
use banger_model::network::Allow;
use banger_model::{Describe, ErrorCode};

use self::files::Files;
use crate::config::suggestion;

pub(crate) use self::ceilings::{Ceilings, Set as SetCeilings};

/// banger's own file.
const OWN: &str = "banger.toml";

/// Where a development container is described (containers.dev, "Reference", `devcontainer.json`).
const CONTAINER: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];

/// Files in which a repository names its tools, as mise and its kin read them.
const TOOLS: [&str; 8] = [
    "mise.toml",
    ".mise.toml",
    ".tool-versions",
    ".nvmrc",
    ".node-version",
    ".python-version",
    "rust-toolchain.toml",
    "go.mod",
];

/// A repository's wishes cannot be understood, or may not be granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("read {}", .path.display())]
    Read {
        path: PathBuf,
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
        path: PathBuf,
        what: &'static str,
        count: usize,
        most: usize,
    },
    /// It is no TOML, or a key or value is wrong.
    #[error("understand {}", .path.display())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It is no JSON with comments.
    #[error("understand {}", .path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: jsonc_parser::errors::ParseError,
    },
    /// A value is not what its key takes.
    #[error("{}: `{key}` is not {expected}", .path.display())]
    Value {
        path: PathBuf,
        key: &'static str,
        expected: &'static str,
    },
    /// Neither an image's name nor a registry's reference.
    #[error("{}: `{text}` is no image of a registry", .path.display())]
    Image { path: PathBuf, text: String },
    /// A rule that would open something of the host's.
    #[error("{}: `{rule}` is not a repository's to allow", .path.display())]
    Rule { path: PathBuf, rule: String },
    /// A text that is no rule.
    #[error("{}: understand a rule", .path.display())]
    NoRule {
        path: PathBuf,
        #[source]
        source: banger_model::network::InvalidAllow,
    },
    /// A port that others than this host could reach.
    #[error("{}: `{port}` is beyond loopback, which is not a repository's to open", .path.display())]
    Open { path: PathBuf, port: String },
}

/// What a file says, before anything of it is granted.
#[derive(Debug)]
struct Stated {
    /// The image, as it is written.
    image: Option<String>,
    /// All else.
    wishes: Wishes,
}

/// What the repository whose top is `root` asks for, within what repositories may.
pub(crate) fn wishes(root: &Path, ceilings: &Ceilings) -> Result<Wishes, Error> {
    let files = Files::of(root)?;
    let mut wishes = match files.chosen {
        Some((name, path, text)) => stated(name, &path, &text)?,
        None => Wishes::default(),
    };
    ceilings.hold(&mut wishes);
    wishes.tools = files.tools;
    wishes.digest = files.digest;
    wishes.root = Some(root.to_owned());
    Ok(wishes)
}

/// The digest of the configuration that the repository at `root` has now.
fn digest(root: &Path) -> Result<Option<String>, Error> {
    Ok(Files::of(root)?.digest)
}

fn stated(name: &str, path: &Path, text: &str) -> Result<Wishes, Error> {
    let stated = match name {
        OWN => own::parse(text).map_err(|source| Error::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?,
        _ => devcontainer::parse(path, text)?,
    };
    limits::within(path, name, stated)
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
