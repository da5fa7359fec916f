//! Reading the files of the host's that go into guests.
//!
//! What is read is what the user named, whoever may have changed the ways to it: a file is held ([`banger_hostfs`]), and then it
//! is asked where it is and whose. Below the home directory, links may lead to other files of the user's there, as managers of
//! dotfiles make them. Elsewhere no link is followed. In a directory they are links for the guest, too.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use banger_archive::{Entry, EntryKind, Writer};
use banger_hostfs::{Error as HostError, Found, Kind, Named, within};

use crate::entry::{FileMode, HostPath};

/// The most bytes of an entry: it is held in memory. `vm cp` and `vm sync` have no such bound.
const MOST: u64 = 64 << 20;

/// The deepest directory.
const DEEPEST: usize = 40;

/// A file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is none.
    #[error("the file does not exist")]
    Absent,
    /// It is elsewhere.
    #[error("it leads to {}; specify that file if it is wanted", .0.display())]
    Leads(PathBuf),
    /// It is another user's.
    #[error("it belongs to user {owner}, but bangerd runs as user {us}")]
    Foreign { owner: u32, us: u32 },
    /// A device, a pipe or the like.
    #[error("it is neither a file nor a directory")]
    Kind,
    /// More than goes.
    #[error("it is larger than {} MiB: use `vm cp` or `vm sync`", MOST >> 20)]
    TooMuch,
    /// Only a part of it goes, and it is not what it is known to be.
    #[error("it is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// The system.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        match error {
            error if error.is_absent() => Self::Absent,
            HostError::Kind { .. } => Self::Kind,
            HostError::File { source, .. } => Self::Io(source),
            error => Self::Io(error.into()),
        }
    }
}

/// What is at `path`, as a tar in which it is called `name`.
pub(crate) fn packed(path: &HostPath, home: &Path, name: &[u8], mode: FileMode) -> Result<Vec<u8>, Error> {
    let found = find(path, home)?;
    let mut pack = Pack {
        tar: Writer::new(Vec::new()),
        mode,
        left: MOST,
    };
    match found.kind() {
        Kind::Directory => pack.directory(found, name, 0)?,
        _ => pack.file(&found, name)?,
    }
    Ok(pack.tar.finish()?)
}

/// The same of a file of JSON, with these keys alone; nothing when it has none of them.
pub(crate) fn packed_keys(
    path: &HostPath,
    home: &Path,
    name: &[u8],
    mode: FileMode,
    keys: &[&str],
) -> Result<Option<Vec<u8>>, Error> {
    let found = find(path, home)?;
    if found.kind() != Kind::File {
        return Err(Error::Kind);
    }
    let text = content(&found, MOST)?;
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&text).map_err(Error::Json)?;
    object.retain(|key, _| keys.contains(&key.as_str()));
    if object.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_vec(&object).map_err(Error::Json)?;
    let mut tar = Writer::new(Vec::new());
    let kind = EntryKind::file(text.len() as u64);
    let entry = Entry::plain(name.to_owned(), mode.of_file(), changed(found.metadata()), kind);
    tar.entry(&entry, &mut &text[..])?;
    Ok(Some(tar.finish()?))
}

/// The file or directory at `path`, held without an effect on it, if it is where it should be and ours.
fn find(path: &HostPath, home: &Path) -> Result<Found, Error> {
    let (path, is_homes) = path.of(home);
    let found = Named::look(&path)?;
    let is_there = match is_homes {
        true => within(&found, home)?,
        false => found.place()? == path,
    };
    if !is_there {
        return Err(Error::Leads(found.place()?));
    }
    let owner = found.metadata().uid();
    let us = rustix::process::geteuid().as_raw();
    if is_homes && owner != us {
        return Err(Error::Foreign { owner, us });
    }
    match found.kind() {
        Kind::File | Kind::Directory => Ok(found),
        _ => Err(Error::Kind),
    }
}

struct Pack {
    tar: Writer<Vec<u8>>,
    mode: FileMode,
    /// Bytes that may still come.
    left: u64,
}

impl Pack {
    fn file(&mut self, found: &Found, name: &[u8]) -> Result<(), Error> {
        let bytes = content(found, self.left)?;
        self.left -= bytes.len() as u64;
        let kind = EntryKind::file(bytes.len() as u64);
        let changed = changed(found.metadata());
        let entry = Entry::plain(name.to_owned(), self.mode.of_file(), changed, kind);
        Ok(self.tar.entry(&entry, &mut &bytes[..])?)
    }

    fn directory(&mut self, found: Found, name: &[u8], depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::TooMuch);
        }
        let mode = self.mode.of_directory();
        let entry = Entry::plain(
            name.to_owned(),
            mode,
            changed(found.metadata()),
            EntryKind::Directory,
        );
        self.tar.entry(&entry, &mut io::empty())?;
        let dir = found.dir()?;
        for file in dir.entries()? {
            // Names count as well: they are held, too.
            self.left = self.left.checked_sub(1024).ok_or(Error::TooMuch)?;
            let full = [name, b"/", file.as_bytes()].concat();
            let child = match dir.look(&file) {
                // Gone meanwhile.
                Err(error) if error.is_absent() => continue,
                child => child?,
            };
            match child.kind() {
                Kind::File => self.file(&child, &full)?,
                Kind::Directory => self.directory(child, &full, depth + 1)?,
                Kind::Symlink => self.link(&child, full)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn link(&mut self, found: &Found, name: Vec<u8>) -> Result<(), Error> {
        let kind = EntryKind::Symlink(found.target()?);
        let entry = Entry::plain(name, 0o777, changed(found.metadata()), kind);
        Ok(self.tar.entry(&entry, &mut io::empty())?)
    }
}

fn content(found: &Found, most: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    found.open()?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(Error::TooMuch),
        false => Ok(bytes),
    }
}

fn changed(metadata: &Metadata) -> (i64, u32) {
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    (metadata.mtime(), nanos)
}

#[cfg(test)]
mod tests;
