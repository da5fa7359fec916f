//! The files by which a repository asks for something, and the digest of all of them.
//!
//! They are read beneath the repository's top. A link of the repository's own may lead from one to another file in it, and
//! nowhere else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use banger_hostfs::{Dir, Kind};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::names::{CONTAINER, OWN, TOOLS};

/// Longer than any such file.
const MOST: u64 = 1 << 20;

/// How many links are followed from one file.
const LINKS: usize = 8;

/// Directories in which mise looks for its configuration, the top first.
const CONFIGURED: [&str; 5] = ["", ".config", ".config/mise", ".mise", "mise"];

/// Directories of which mise reads all files.
const MORE_IN: [&str; 3] = [".config/mise/conf.d", ".mise/conf.d", "mise/conf.d"];

/// More than any repository has of such files in one directory.
const MOST_FILES: usize = 1000;

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

/// Whether mise may read a file of this name in one of [`CONFIGURED`]: those of an environment (`mise.ENV.toml`) are chosen by
/// another file or by a variable, lock files name what is downloaded, and other tools' files name versions (mise,
/// "Configuration", "Config environments" and "Idiomatic version files").
fn is_of_mise(dir: &str, name: &[u8]) -> bool {
    let named = |first: &[u8]| {
        name.strip_prefix(first).is_some_and(|rest| {
            rest.starts_with(b".") && (rest.ends_with(b".toml") || rest.ends_with(b".lock"))
        })
    };
    let of_version = || {
        let (version, versions) = (name.ends_with(b"-version"), name.ends_with(b"-versions"));
        name.starts_with(b".") && (version || versions) || matches!(name, b"rust-toolchain" | b".sdkmanrc")
    };
    named(b"mise")
        || named(b".mise")
        || name == b".miserc.toml"
        || (dir.ends_with("mise") && named(b"config"))
        || (dir.is_empty() && of_version())
}

fn more(top: &Dir, digest: &mut Sums) -> Result<(), Error> {
    let of_mise = |dir: &str, name: &OsString| is_of_mise(dir, name.as_bytes());
    for dir in CONFIGURED {
        add_those(top, dir, digest, |name| {
            of_mise(dir, name) && !(dir.is_empty() && TOOLS.iter().any(|tool| name == tool))
        })?;
    }
    for dir in MORE_IN {
        add_those(top, dir, digest, |_| true)?;
    }
    Ok(())
}

/// Adds the files of a directory that count.
fn add_those(
    top: &Dir,
    dir: &'static str,
    digest: &mut Sums,
    counts: impl Fn(&OsString) -> bool,
) -> Result<(), Error> {
    let at = top.path().join(dir);
    let held = match dir {
        "" => top.entries(),
        _ => top.dir(dir).and_then(|held| held.entries()),
    };
    let mut names = match held {
        Ok(names) => names,
        Err(error) if error.is_absent() => return Ok(()),
        // mise would follow it to files that do not count here.
        Err(error) if error.is_link() => return Err(Error::Link(at)),
        Err(error) => return Err(unreadable(&at, error)),
    };
    names.retain(counts);
    if names.len() > MOST_FILES {
        return Err(Error::TooMany {
            path: at,
            what: "configuration files of mise",
            count: names.len(),
            most: MOST_FILES,
        });
    }
    for name in names {
        let path = Path::new(dir).join(name);
        if let Some(bytes) = read(top, &path)? {
            digest.add(&path.to_string_lossy(), &bytes);
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
        .filter(|line| matches!(line.split_whitespace().next(), Some("go" | "toolchain")));
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
        let target = std::ffi::OsStr::from_bytes(&target);
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
