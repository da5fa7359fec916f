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

mod devcontainer;
mod limits;
mod own;

use std::io::Read;
use std::path::{Path, PathBuf};

use banger_api::Wishes;
use banger_model::ErrorCode;
use banger_model::network::Allow;

use crate::config::suggestion;
use crate::error::Describe;

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

/// Longer than any such file.
const MOST: u64 = 1 << 20;

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

/// What the repository whose top is `root` asks for.
pub(crate) fn wishes(root: &Path) -> Result<Wishes, Error> {
    let mut wishes = stated(root)?;
    let there = TOOLS.iter().filter(|name| root.join(name).is_file());
    wishes.tools = there.map(ToString::to_string).collect();
    Ok(wishes)
}

fn stated(root: &Path) -> Result<Wishes, Error> {
    if let Some((path, text)) = read(root, OWN)? {
        let stated = own::parse(&text).map_err(|source| Error::Toml {
            path: path.clone(),
            source: Box::new(source),
        })?;
        return limits::within(&path, OWN, stated);
    }
    for name in CONTAINER {
        if let Some((path, text)) = read(root, name)? {
            let stated = devcontainer::parse(&path, &text)?;
            return limits::within(&path, name, stated);
        }
    }
    Ok(Wishes::default())
}

/// A file's path and text, if it is there.
fn read(root: &Path, name: &str) -> Result<Option<(PathBuf, String)>, Error> {
    let path = root.join(name);
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MOST => Err(Error::TooLong(path)),
        Ok(_) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
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
                    Ok(Allow::Host(_)) => ", or `banger vm forward add --reverse` for one port",
                    _ => "",
                }
            )),
            Self::Open { port, .. } => Some(format!("if you want it, say so yourself: `-p {port} --open`")),
            _ => None,
        };
        let without = "`--no-repo-config` does without the repository's wishes".to_owned();
        own.into_iter().chain([without]).collect()
    }

    fn log(&self) -> Option<String> {
        None
    }
}
