//! What of its user's a VM has, by name and never by value: files of the host's that may be on its disk, and secrets that
//! the guest has in memory as long as it runs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use banger_guest_api::SecretName;

/// The directory of secrets' names, each an empty file, so that two that come at once are both kept.
const SECRETS: &str = "secrets";

/// The file of places in the guest, a line each.
const FILES: &str = "file-sync";

/// What one VM has, as remembered in the directory of its files.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    dir: PathBuf,
}

impl Carried {
    /// Of the VM whose files are in `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Notes that the guest has a secret.
    pub(crate) fn add_secret(&self, name: &SecretName) -> io::Result<()> {
        let dir = self.dir.join(SECRETS);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join(name.as_str()), [])
    }

    /// The secrets that the guest was given.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let names = std::fs::read_dir(self.dir.join(SECRETS)).into_iter().flatten();
        let names = names
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// The secrets that the last run had, which are forgotten with that.
    pub(crate) fn take_secrets(&self) -> BTreeSet<String> {
        let names = self.secrets();
        // What cannot be forgotten is told once more.
        let _ = std::fs::remove_dir_all(self.dir.join(SECRETS));
        names
    }

    /// Notes that files of the host's went to these places.
    pub(crate) fn add_files(&self, places: Vec<String>) -> io::Result<()> {
        let mut all = self.files();
        let before = all.len();
        all.extend(places);
        if all.len() == before {
            return Ok(());
        }
        let lines: String = all.iter().map(|place| format!("{place}\n")).collect();
        std::fs::write(self.dir.join(FILES), lines)
    }

    /// Where files of the host's went, whether or not they are still there.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.dir.join(FILES)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let carried = Carried::of(dir.path());
        for name in ["A", "B", "A"] {
            carried.add_secret(&name.parse().unwrap()).unwrap();
        }
        assert_eq!(carried.take_secrets(), ["A".to_owned(), "B".to_owned()].into());
        assert!(carried.take_secrets().is_empty());
        carried.add_files(vec!["/root/a".to_owned()]).unwrap();
        carried
            .add_files(vec!["/root/b".to_owned(), "/root/a".to_owned()])
            .unwrap();
        assert_eq!(carried.files().len(), 2);
    }
}
