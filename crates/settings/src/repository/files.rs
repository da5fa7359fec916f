//! The files by which a repository asks for something, and the digest of all of them.
//!
//! They are read beneath the repository's top. A link of the repository's own may lead from one to another file in it, and
//! nowhere else.

use std::path::{Component, Path, PathBuf};

use banger_hostfs::{Dir, Kind};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::names::{CONTAINER, OWN, TOOLS};

/// Longer than any such file.
const MOST: u64 = 1 << 20;

/// How many links are followed from one file.
const LINKS: usize = 8;

/// Files that mise reads beside [`TOOLS`] and that may name programs to run, so they count for the digest.
const MORE: [&str; 15] = [
    "mise.local.toml",
    ".mise.local.toml",
    "mise/config.toml",
    "mise/config.local.toml",
    ".mise/config.toml",
    ".mise/config.local.toml",
    ".config/mise.toml",
    ".config/mise.local.toml",
    ".config/mise/config.toml",
    ".config/mise/config.local.toml",
    ".config/mise/mise.toml",
    ".miserc.toml",
    ".go-version",
    ".python-versions",
    "rust-toolchain",
];

/// Directories of such files.
const MORE_IN: [&str; 3] = [".config/mise/conf.d", ".mise/conf.d", "mise/conf.d"];

/// What there is.
pub(super) struct Files {
    /// The file that says what the VM is to be, by its name below the top, and its text.
    pub(super) chosen: Option<(&'static str, PathBuf, String)>,
    /// Those of [`TOOLS`] that are there.
    pub(super) tools: Vec<String>,
    /// Of all that shapes the VM; none when nothing is there.
    pub(super) digest: Option<String>,
}

impl Files {
    /// Reads them.
    pub(super) fn of(root: &Path) -> Result<Self, Error> {
        let top = Dir::open(root).map_err(|error| unreadable(root, error))?;
        let mut digest = Sums::default();
        let mut chosen = None;
        for name in std::iter::once(OWN).chain(CONTAINER) {
            if let Some(bytes) = read(&top, name)? {
                digest.add(name, &bytes);
                chosen = Some((name, root.join(name), text(root, name, bytes)?));
                // What stands behind it is not looked at.
                break;
            }
        }
        let mut tools = Vec::new();
        for name in TOOLS {
            if let Some(bytes) = read(&top, name)? {
                match name {
                    "go.mod" => digest.add(name, &versions_of_go(&bytes)),
                    _ => digest.add(name, &bytes),
                }
                tools.push(name.to_owned());
            }
        }
        if chosen.is_some() || !tools.is_empty() {
            more(&top, &mut digest)?;
        }
        Ok(Self {
            chosen,
            tools,
            digest: digest.end(),
        })
    }
}

fn more(top: &Dir, digest: &mut Sums) -> Result<(), Error> {
    for name in MORE {
        if let Some(bytes) = read(top, name)? {
            digest.add(name, &bytes);
        }
    }
    for dir in MORE_IN {
        let Ok(held) = top.dir(dir) else { continue };
        let names = held.entries().map_err(|error| unreadable(held.path(), error))?;
        for name in names.iter().take(1000) {
            let path = Path::new(dir).join(name);
            if let Some(bytes) = read(top, &path)? {
                digest.add(&path.to_string_lossy(), &bytes);
            }
        }
    }
    Ok(())
}

/// A digest of names and contents.
#[derive(Default)]
struct Sums {
    sum: Sha256,
    has_some: bool,
}

impl Sums {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.has_some = true;
        for part in [name.as_bytes(), bytes] {
            // With its length, so that no name looks like a content.
            self.sum.update((part.len() as u64).to_be_bytes());
            self.sum.update(part);
        }
    }

    fn end(self) -> Option<String> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.has_some.then(|| hex(&self.sum.finalize()))
    }
}

/// The lines of a `go.mod` that say which Go: all else in it is the program's own matter, and changes every week.
fn versions_of_go(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("go ") || line.starts_with("toolchain "));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

fn text(root: &Path, name: &str, bytes: Vec<u8>) -> Result<String, Error> {
    let text = String::from_utf8(bytes).map_err(|_| Error::NoText(root.join(name)))?;
    // Editors of another system begin a file with a byte order mark.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// What is in a file, if it is there.
fn read(top: &Dir, name: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Error> {
    let mut at = name.as_ref().to_owned();
    for _ in 0..LINKS {
        let found = match top.look(&at) {
            Ok(found) => found,
            Err(error) if error.is_absent() => return Ok(None),
            // A directory on the way is a link, which is none of a file's that we know.
            Err(error) if error.is_link() => return Err(Error::Link(top.path().join(&at))),
            Err(error) => return Err(unreadable(&top.path().join(&at), error)),
        };
        if found.kind() != Kind::Symlink {
            if found.kind() != Kind::File {
                return Ok(None);
            }
            return match top.read(&at, MOST) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(banger_hostfs::Error::TooMuch { path, .. }) => Err(Error::TooLong(path)),
                Err(error) => Err(unreadable(&top.path().join(&at), error)),
            };
        }
        let target = found
            .target()
            .map_err(|error| unreadable(&top.path().join(&at), error))?;
        let target = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&target);
        let within = within(at.parent().unwrap_or(Path::new("")), Path::new(target));
        at = within.ok_or_else(|| Error::Link(top.path().join(&at)))?;
    }
    Err(Error::Link(top.path().join(name)))
}

/// Where a link in `dir` leads, if that is below the top.
fn within(dir: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = dir.to_owned();
    for component in target.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

fn unreadable(path: &Path, error: banger_hostfs::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests;
