//! Bringing files of the host's into a guest.

use std::path::{Path, PathBuf};

use banger_guest_api::{Channel, GetFiles, PutFiles};
use banger_guest_link::{Error as GuestError, Guest, frames};
use banger_model::chain;
use banger_request::Reporter;
use tokio::io::AsyncReadExt;

use crate::entry::{self, Entry, FileSync, Manner};
use crate::host::{self, Error};

/// What of its user's a guest is to get, as the configuration has it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose the configuration is, where it is a file.
    pub owner: Option<u32>,
    /// What the user names.
    pub own: &'a [FileSync],
    /// Whether what is known to be a login goes without being named.
    pub defaults: bool,
}

/// Brings the files into a guest, and tells of them. Gives where they are there.
pub async fn bring(guest: &dyn Guest, wanted: Wanted<'_>, say: &Reporter) -> Vec<String> {
    let entries = match entries(wanted) {
        Ok(entries) => entries,
        Err(note) => {
            say.note(note);
            return Vec::new();
        }
    };
    match home() {
        Some(home) => all(guest, entries, &home, say).await,
        None => Vec::new(),
    }
}

async fn all(guest: &dyn Guest, entries: Vec<Entry>, home: &Path, say: &Reporter) -> Vec<String> {
    let mut brought = Vec::new();
    let mut told = Vec::new();
    for entry in entries {
        let host = entry.host.as_str().to_owned();
        let guest_path = entry.guest.clone();
        match one(guest, entry, home).await {
            Ok(true) => {
                told.push(host);
                brought.push(guest_path);
            }
            Ok(false) => {}
            Err(why) => say.note(format!("{host} of this host was not copied: {why}")),
        }
    }
    if !told.is_empty() {
        say.note(format!("copied files of this host: {}", told.join(", ")));
    }
    brought
}

/// What goes, or why nothing does.
fn entries(wanted: Wanted<'_>) -> Result<Vec<Entry>, String> {
    let us = rustix::process::geteuid().as_raw();
    // Who may write what is read with our rights is we, or root.
    match wanted.owner {
        Some(owner) if owner != us && owner != 0 => Err(format!(
            "no files of this host were copied: the configuration belongs to user {owner}, but bangerd runs as user {us}"
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use banger_api::Progress;
    use banger_guest_api::workspace::{Look, Protect, PutWorkspace};
    use banger_guest_api::{Exec, FilesDone, frame};
    use banger_guest_link::{Connection, Frames, Looked};
    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;

    /// A guest that has the files that it gets, and one more.
    #[derive(Debug)]
    struct Files {
        has: &'static str,
        got: Mutex<Vec<(String, Vec<u8>)>>,
    }

    const UNASKED: GuestError = GuestError::TooOld { asked: "do that" };

    #[async_trait]
    impl Guest for Files {
        async fn get_files(&self, get: &GetFiles) -> Result<Connection, GuestError> {
            let has = get.paths == [self.has.as_bytes()];
            let channel = if has { Channel::Stdout } else { Channel::Control };
            let (ours, mut theirs) = tokio::io::duplex(64);
            theirs.write_all(&frame::encode(channel, b"x")).await.unwrap();
            Ok(Box::new(ours))
        }

        async fn put_files(&self, put: &PutFiles, frames: Frames<'_>) -> Result<FilesDone, GuestError> {
            let path = [&put.path[..], &put.names[0]].concat();
            let path = String::from_utf8(path).unwrap();
            let tar = frames.collect::<Vec<_>>().await.concat();
            self.got.lock().unwrap().push((path, tar));
            Ok(FilesDone::default())
        }

        async fn exec(&self, _: &Exec) -> Result<Connection, GuestError> {
            Err(UNASKED)
        }

        async fn look_at_workspace(&self, _: &Look) -> Result<Looked, GuestError> {
            Err(UNASKED)
        }

        async fn put_workspace(&self, _: &PutWorkspace, _: Frames<'_>) -> Result<FilesDone, GuestError> {
            Err(UNASKED)
        }

        async fn protect_workspace(&self, _: &Protect) -> Result<(), GuestError> {
            Err(UNASKED)
        }
    }

    /// Brings what a home directory with these files has; gives what the guest got, and what was told.
    async fn brought(own: &[FileSync], files: &[&str], has: &'static str) -> (Vec<String>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        for file in files {
            let path = home.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{\"oauthAccount\": {}}").unwrap();
        }
        let guest = Files {
            has,
            got: Mutex::default(),
        };
        let (say, mut told) = Reporter::channel();
        let brought = all(&guest, entry::all(own, true), home.path(), &say).await;
        drop(say);
        let got = guest.got.into_inner().unwrap();
        assert_eq!(
            brought,
            got.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>()
        );
        let mut notes = Vec::new();
        while let Some(Progress::Note { text }) = told.recv().await {
            notes.push(text);
        }
        (brought, notes)
    }

    #[tokio::test]
    async fn what_is_there_goes_and_is_told() {
        let files = [".claude.json", ".pi/agent/auth.json", "other"];
        let (brought, notes) = brought(&[], &files, "").await;
        assert_eq!(brought, ["/root/.claude.json", "/root/.pi/agent/auth.json"]);
        assert_eq!(
            notes,
            ["copied files of this host: ~/.claude.json, ~/.pi/agent/auth.json"]
        );
    }

    #[tokio::test]
    async fn settings_that_the_guest_has_stay_the_guests() {
        let (brought, notes) = brought(&[], &[".claude.json"], "/root/.claude.json").await;
        assert!(brought.is_empty() && notes.is_empty(), "{notes:?}");
    }

    #[tokio::test]
    async fn what_was_named_and_is_missing_is_told_and_the_rest_goes() {
        let own: FileSync = toml::from_str("host = \"~/.netrc\"").unwrap();
        let (brought, notes) = brought(&[own], &[".pi/agent/auth.json"], "").await;
        assert_eq!(brought, ["/root/.pi/agent/auth.json"]);
        assert_eq!(
            notes[0],
            "~/.netrc of this host was not copied: the file does not exist"
        );
    }
}
