//! What was placed where, as the host remembers it: a file for each workspace of a VM, beside the VM's disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use banger_guest_api::query::{decoded, encoded};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::history::History;

/// The directory of a VM's records, below that of its files.
const DIR: &str = "workspaces";

/// A longer name of a record is a hash in place of the path: with its ending it would be too long for a file.
const LONGEST: usize = 240;

/// The records of one VM.
#[derive(Debug, Clone)]
pub struct Records {
    dir: PathBuf,
}

/// A workspace that was placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its directory in the guest.
    pub(crate) guest_path: String,
    /// The work tree on the host.
    pub(crate) source: PathBuf,
    /// The repository on the host, which may have several work trees.
    pub(crate) common: PathBuf,
    /// What stands for it below `refs/banger`.
    pub(crate) namespace: String,
    /// Whether nothing in the guest may write to it.
    pub(crate) readonly: bool,
    /// What the guest calls its manifest; nothing while it is being placed.
    pub(crate) generation: Option<String>,
    /// HEAD, index and the like, as one name.
    pub(crate) state: String,
    /// The index alone, as one name.
    pub(crate) index: String,
    /// The commit of HEAD.
    pub(crate) head: Option<String>,
    /// What was placed, as a commit that only the guest has, and its tree.
    pub(crate) base: String,
    pub(crate) base_tree: String,
    /// Whether that has changes that HEAD does not have.
    pub(crate) has_changes: bool,
    /// The commits that went.
    pub(crate) history: History,
    /// The files and their tags, by percent-encoded path.
    pub(crate) files: BTreeMap<String, String>,
    /// The files that are stored through filters.
    #[serde(default)]
    pub(crate) filtered: crate::filters::All,
    /// What was brought back last.
    #[serde(default)]
    pub(crate) pulled: Pulled,
    /// What was seen last of work that was not brought back, in words; nothing since the VM was started.
    #[serde(default)]
    pub(crate) checked: Option<String>,
}

/// What was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulled {
    /// Commits.
    pub(crate) commits: Vec<String>,
    /// The tree of the guest's files.
    pub(crate) tree: String,
}

impl Record {
    /// The files and their tags.
    pub(crate) fn tags(&self) -> BTreeMap<Vec<u8>, String> {
        let pairs = self.files.iter();
        pairs
            .filter_map(|(path, tag)| Some((decoded(path)?, tag.clone())))
            .collect()
    }
}

/// Keeps others from placing, pulling and recording the same workspace. The kernel gives it back whatever happens.
#[derive(Debug)]
pub(crate) struct Hold(File);

impl Drop for Hold {
    fn drop(&mut self) {
        // A child that is being started has every open file until it becomes another program, so closing this one is not enough.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Records {
    /// Those of a VM whose files are in `dir`.
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.join(DIR) }
    }

    /// Whether nothing was placed.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// All of them, by path in the guest.
    pub(crate) fn all(&self) -> Vec<Record> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let mut records: Vec<Record> = files.filter_map(|path| read(&path)).collect();
        records.sort_by(|a, b| a.guest_path.cmp(&b.guest_path));
        records
    }

    /// The paths in the guest of all of them.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.all().into_iter().map(|record| record.guest_path).collect()
    }

    /// The one at a path of the guest. One that cannot be read is as good as none: the guest knows what it has.
    pub(crate) fn get(&self, guest_path: &str) -> Option<Record> {
        read(&self.file(guest_path, "json"))
    }

    /// Stores one.
    pub(crate) fn put(&self, record: &Record) -> Result<(), Error> {
        let path = self.file(&record.guest_path, "json");
        let stored = || {
            let bytes = serde_json::to_vec(record)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            io::Write::write_all(&mut file, &bytes)?;
            file.persist(&path)?;
            Ok::<_, io::Error>(())
        };
        stored().map_err(|error| Error::file("write", &path, error))
    }

    /// Keeps others from the workspace at `guest_path`.
    pub(crate) fn hold(&self, guest_path: &str) -> Result<Hold, Error> {
        let path = self.file(guest_path, "lock");
        // Of a VM that is being removed, nothing comes back: its own directory is not made here.
        let made = match std::fs::create_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let opened = made.and_then(|()| File::create(&path));
        let file = opened.map_err(|error| Error::file("create", &path, error))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Error::Busy(guest_path.to_owned()))?;
        Ok(Hold(file))
    }

    /// What a workspace from the repository `common` is called below `refs/banger`: the VM, and a number if it has several.
    /// One that another VM has, which was renamed since, is left to that one.
    pub(crate) fn namespace(&self, vm: &str, guest_path: &str, common: &Path, others: &[Self]) -> String {
        let own = self
            .all()
            .into_iter()
            .filter(|record| record.guest_path != guest_path);
        let others = others.iter().flat_map(Self::all);
        let taken: Vec<String> = own
            .chain(others)
            .filter(|record| record.common == common)
            .map(|record| record.namespace)
            .collect();
        let numbered = (2..).map(|number| format!("{vm}.{number}"));
        let mut names = std::iter::once(vm.to_owned()).chain(numbered);
        names
            .find(|name| !taken.contains(name))
            .unwrap_or_else(|| vm.to_owned())
    }

    fn file(&self, guest_path: &str, ending: &str) -> PathBuf {
        let mut name = encoded(guest_path.as_bytes()).replace('/', "%2F");
        if name.len() > LONGEST {
            let hash = Sha256::digest(guest_path.as_bytes());
            name = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        self.dir.join(format!("{name}.{ending}"))
    }
}

/// A record; none when there is none, or when it cannot be read, which is told.
fn read(path: &Path) -> Option<Record> {
    let read = || Ok::<_, io::Error>(serde_json::from_slice(&std::fs::read(path)?)?);
    match read() {
        Ok(record) => Some(record),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "could not read the record of a workspace");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_a_renamed_vm_are_not_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let [renamed, new] = ["renamed", "new"].map(|name| {
            std::fs::create_dir_all(dir.path().join(name).join(DIR)).unwrap();
            Records::of(&dir.path().join(name))
        });
        renamed
            .put(&Record {
                guest_path: "/work".to_owned(),
                common: "/repo".into(),
                namespace: "web".to_owned(),
                ..Record::default()
            })
            .unwrap();
        let others = [renamed];
        let named = |common: &str| new.namespace("web", "/work", Path::new(common), &others);
        assert_eq!(named("/repo"), "web.2");
        assert_eq!(named("/elsewhere"), "web");
    }

    #[test]
    fn a_long_path_has_a_record_too() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::of(dir.path());
        let paths = ["a", "b"].map(|last| format!("/{}/{last}", "x".repeat(200).repeat(20)));
        for guest_path in &paths {
            let _hold = records.hold(guest_path).unwrap();
            let record = Record {
                guest_path: guest_path.clone(),
                ..Record::default()
            };
            records.put(&record).unwrap();
        }
        assert_eq!(records.paths(), paths);
        assert_eq!(records.get(&paths[1]).unwrap().guest_path, paths[1]);
    }

    #[test]
    fn a_workspace_is_free_again_while_a_child_is_being_started() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::of(dir.path());
        let hold = records.hold("/work").unwrap();
        assert!(matches!(records.hold("/work"), Err(Error::Busy(path)) if path == "/work"));
        // What such a child has.
        let _childs = hold.0.try_clone().unwrap();
        drop(hold);
        records.hold("/work").unwrap();
    }
}
