//! A pass over all of a tree: the guest tells what it has, and what differs goes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use banger_guest_api::query::decoded;
use banger_guest_api::{ListedKind, OfDirectory};
use banger_hostfs::Dir;

use super::Syncing;
use crate::error::Error;
use crate::guest::GuestFiles;
use crate::sync::ignored::Ignored;
use crate::sync::walk::{Files, is_absent};

/// More files than this, and a VM that lists them has gone wrong, or is meant to.
const MOST_LISTED: usize = 4_000_000;

impl<G: GuestFiles> Syncing<'_, G> {
    /// Sends what differs, and removes what is too many.
    pub(super) async fn pass(&mut self) -> Result<(), G::Error> {
        let mut files = Files::new();
        self.names.clear();
        self.walk(Path::new(""), &mut files)?;
        self.still_there()?;
        let of = OfDirectory {
            path: self.sync.to.clone(),
        };
        let mut listing = self.guest.list_files(&of).await?;
        let mut others = Vec::new();
        let mut listed = 0;
        while let Some(file) = listing.next().await.map_err(Error::from)? {
            listed += 1;
            let name = decoded(&file.path).filter(|name| !name.is_empty());
            let (Some(name), true) = (name, listed <= MOST_LISTED) else {
                return Err(Error::Listing.into());
            };
            let path = Path::new(OsStr::from_bytes(&name));
            match files.get(path) {
                Some(here) if here.is(&file) => drop(files.remove(path)),
                Some(_) => {}
                None if self.sync.delete => others.push((path.to_owned(), file.kind)),
                None => {}
            }
        }
        let remove = removable(others, &mut self.ignored, &self.dir);
        self.send(files.into_keys().collect(), remove).await
    }
}

/// Which of the VM's files go that are not in the tree: not what would not go either, nor the directories that it
/// is in. Of a directory that goes, nothing else is named.
fn removable(others: Vec<(PathBuf, ListedKind)>, ignored: &mut Ignored, root: &Dir) -> Vec<Vec<u8>> {
    let mut kept = HashSet::new();
    let mut all = Vec::new();
    for (path, kind) in others {
        let is_dir = kind == ListedKind::Directory;
        let stays = ignored.is(&path, is_dir) || !is_dir && ignored.suspicion(&path).is_some();
        // One that was equal has been taken off the list.
        if stays || !is_absent(root, &path) {
            kept.extend(path.ancestors().map(Path::to_owned));
        } else {
            all.push(path);
        }
    }
    all.retain(|path| !kept.contains(path));
    let going: HashSet<PathBuf> = all.iter().cloned().collect();
    all.retain(|path| path.parent().is_none_or(|dir| !going.contains(dir)));
    all.sort();
    all.into_iter()
        .map(|path| path.into_os_string().into_encoded_bytes())
        .collect()
}
