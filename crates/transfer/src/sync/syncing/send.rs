//! What goes into the guest, and what is removed there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use banger_archive::pack::{PackError, Packing};
use banger_guest_api::{OfDirectory, PutFiles};

use super::Syncing;
use crate::copy::packed;
use crate::guest::GuestFiles;
use crate::sync::spec::Event;

/// The most bytes of names in one request to remove files.
const MOST_NAMES: usize = 1 << 20;

impl<G: GuestFiles> Syncing<'_, G> {
    /// Sends and removes what is named, and tells it.
    pub(super) async fn send(&mut self, push: Vec<PathBuf>, remove: Vec<Vec<u8>>) -> Result<(), G::Error> {
        if push.is_empty() && remove.is_empty() && !self.is_owed {
            return Ok(());
        }
        self.is_owed = true;
        let (pushed, bytes) = match push.is_empty() {
            true => (0, 0),
            false => self.push(push).await?,
        };
        let removed = self.remove(remove).await?;
        self.is_owed = false;
        (self.tell)(&Event::Done {
            pushed,
            removed,
            bytes,
        });
        Ok(())
    }

    async fn push(&mut self, paths: Vec<PathBuf>) -> Result<(usize, u64), G::Error> {
        let put = PutFiles {
            path: self.sync.to.clone(),
            names: Vec::new(),
            all: false,
            owner: self.sync.owner,
            replace: true,
            within: false,
        };
        let root = Arc::clone(&self.dir);
        let (told, outcome) = std::sync::mpsc::channel();
        // A file that someone writes to while it is read is sent again, because that is a change, too.
        let packing = Packing {
            pad: true,
            ..Packing::default()
        };
        let sent = packed(
            &self.guest,
            &put,
            packing,
            |_| {},
            move |packer| {
                for path in paths {
                    let skipped = match packer.one(&root, &path, path.as_os_str().as_encoded_bytes()) {
                        Ok(_) => None,
                        Err(error) => Some(passable(error)?),
                    };
                    let _ = told.send((path, skipped));
                }
                Ok(())
            },
        );
        let done = sent.await?;
        let mut pushed = 0;
        for (path, skipped) in outcome.try_iter() {
            match skipped {
                None => {
                    pushed += 1;
                    (self.tell)(&Event::Pushed(&path));
                }
                // Gone since it was looked at, which is a change of its own.
                Some(error) if is_absence(&error) => {}
                Some(error) => (self.tell)(&Event::Skipped(&path, &why(&error))),
            }
        }
        Ok((pushed, done.bytes))
    }

    async fn remove(&mut self, paths: Vec<Vec<u8>>) -> Result<usize, G::Error> {
        let of = OfDirectory {
            path: self.sync.to.clone(),
        };
        if !paths.is_empty() {
            self.still_there()?;
        }
        let mut removed = 0;
        let mut paths = paths.as_slice();
        while !paths.is_empty() {
            let mut names = Vec::new();
            let taken = paths.iter().take_while(|path| {
                let fits = names.len() + path.len() < MOST_NAMES;
                if fits {
                    names.extend_from_slice(path);
                    names.push(0);
                }
                fits
            });
            let taken = taken.count();
            removed += self.guest.remove_files(&of, names).await?.entries as usize;
            for path in &paths[..taken] {
                (self.tell)(&Event::Removed(path));
            }
            paths = &paths[taken..];
        }
        Ok(removed)
    }
}

/// Whether a file that could not be packed may be left out: nothing of it is in the archive yet.
fn passable(error: PackError) -> Result<PackError, PackError> {
    match error {
        PackError::File {
            what: "open" | "inspect" | "look for holes in",
            ..
        }
        | PackError::Changed(_)
        | PackError::Endless { .. } => Ok(error),
        error => Err(error),
    }
}

fn is_absence(error: &PackError) -> bool {
    match error {
        PackError::Changed(_) => true,
        PackError::File { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}

fn why(error: &PackError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
