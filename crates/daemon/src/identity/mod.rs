//! What of its user a guest gets at each start: files of the host's, by `[[file_sync]]`, and whose commits git makes.
//!
//! Nothing goes but by the user's own configuration, or by what is there without one; never because of what a repository or
//! an image says. What does not go is told and fails no start.

mod entry;
mod git;
mod host;

use std::path::{Path, PathBuf};

use banger_guest_api::{Channel, GetFiles, PutFiles};
use banger_guest_link::{Error as GuestError, Guest, frames};
use banger_model::chain;
use banger_request::Reporter;
use tokio::io::AsyncReadExt;

use self::entry::{Entry, Manner};
use self::host::Error;

pub(crate) use self::entry::FileSync;
pub(crate) use self::git::git_identity;

/// What of its user's a guest is to get, as the configuration has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Whose the configuration is, where it is a file.
    pub(crate) owner: Option<u32>,
    /// What the user names.
    pub(crate) own: &'a [FileSync],
    /// Whether what is known to be a login goes without being named.
    pub(crate) defaults: bool,
}

/// Brings the files into a guest, and tells of them. Gives where they are there.
pub(crate) async fn bring(guest: &dyn Guest, wanted: Wanted<'_>, say: &Reporter) -> Vec<String> {
    let entries = match entries(wanted) {
        Ok(entries) => entries,
        Err(note) => {
            say.note(note);
            return Vec::new();
        }
    };
    let Some(home) = home() else {
        return Vec::new();
    };
    let mut brought = Vec::new();
    let mut told = Vec::new();
    for entry in entries {
        let host = entry.host.as_str().to_owned();
        let guest_path = entry.guest.clone();
        match one(guest, entry, &home).await {
            Ok(true) => {
                told.push(host);
                brought.push(guest_path);
            }
            Ok(false) => {}
            Err(why) => say.note(format!("{host} of this host did not go along: {why}")),
        }
    }
    if !told.is_empty() {
        say.note(format!("files of this host that went along: {}", told.join(", ")));
    }
    brought
}

/// What goes, or why nothing does.
fn entries(wanted: Wanted<'_>) -> Result<Vec<Entry>, String> {
    let us = rustix::process::geteuid().as_raw();
    // Who may write what is read with our rights is we, or root.
    match wanted.owner {
        Some(owner) if owner != us && owner != 0 => Err(format!(
            "no files of this host went along: the configuration belongs to user {owner}, and bangerd runs as {us}"
        )),
        _ => Ok(entry::all(wanted.own, wanted.defaults)),
    }
}

fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.filter(|home| home.is_absolute())
}

/// Brings one. False when there is nothing to bring, and nobody misses it.
async fn one(guest: &dyn Guest, entry: Entry, home: &Path) -> Result<bool, String> {
    let (above, name) = entry.guest.rsplit_once('/').unwrap_or_default();
    let put = PutFiles {
        path: format!("{above}/").into_bytes(),
        names: vec![name.as_bytes().to_owned()],
        replace: true,
        ..PutFiles::default()
    };
    let (manner, guest_path) = (entry.manner, entry.guest.clone());
    let (home, name) = (home.to_owned(), name.as_bytes().to_owned());
    let reading = move || match entry.manner {
        Manner::Asked | Manner::Default => host::packed(&entry.host, &home, &name, entry.mode).map(Some),
        Manner::Keys(keys) => host::packed_keys(&entry.host, &home, &name, entry.mode, keys),
    };
    let read = tokio::task::spawn_blocking(reading).await;
    let tar = match read.map_err(|error| error.to_string())? {
        Ok(Some(tar)) => tar,
        Err(Error::Absent) if manner != Manner::Asked => return Ok(false),
        Ok(None) => return Ok(false),
        Err(error) => return Err(chain(&error)),
    };
    let in_guest = |error: GuestError| chain(&error);
    if matches!(manner, Manner::Keys(_)) && has_file(guest, &guest_path).await.map_err(in_guest)? {
        return Ok(false);
    }
    guest
        .put_files(&put, Box::pin(frames(&tar)))
        .await
        .map_err(in_guest)?;
    Ok(true)
}

/// Whether a guest has a file at an absolute path.
async fn has_file(guest: &dyn Guest, path: &str) -> Result<bool, GuestError> {
    let get = GetFiles {
        paths: vec![path.as_bytes().to_owned()],
        ..GetFiles::default()
    };
    let mut files = guest.get_files(&get).await?;
    // What comes first is a part of the file, or why there is none. The rest is not read.
    match files.read_u8().await {
        Ok(first) => Ok(first == Channel::Stdout as u8),
        Err(_) => Err(GuestError::Ended {
            asked: "look for a file",
        }),
    }
}
