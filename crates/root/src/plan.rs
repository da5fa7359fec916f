//! The recorded plan: what shall be on the host, in the helper's state directory.
//!
//! `network.json` is the network, `vm-SLOT.json` a VM, `refused.json` what no VM reaches beside what the helper sees. A record appears by rename before its object is taken and goes
//! after its object is gone. The network's is on the disk by then. A VM's is on its way there: a record that a power
//! failure takes is that of a VM which the same failure ended, so an attach does not wait for the disk
//! ([`Store::sync`] follows it).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banger_model::network::Slot;
use banger_netplan::Plan;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, chownat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use serde::{Serialize, de::DeserializeOwned};

use crate::file::failed;
use crate::kernel::HostError;

/// The records on the disk, in a directory that is held: on the way to it may be directories that the helper may not enter.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    dir: Arc<OwnedFd>,
}

/// The name of the network's record.
pub(crate) const NETWORK: &str = "network.json";
/// The name of the record of what the owner's daemon found out to be refused.
pub(crate) const REFUSED: &str = "refused.json";
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FRESH: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::TRUNC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Store {
    /// The records in `dir`, which must exist and be the helper's alone.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let dir = rustix::fs::open(path, READ | OFlags::DIRECTORY, Mode::empty());
        let dir = dir.map_err(failed("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            dir: Arc::new(dir),
        })
    }

    /// The directory.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Gives the directory and what is in it to the user that the helper becomes.
    ///
    /// # Errors
    /// Something cannot be given.
    pub fn give(&self, uid: Uid, gid: Gid) -> Result<(), HostError> {
        let names = self.names()?;
        let all = names.iter().map(String::as_str).chain([""]);
        all.into_iter()
            .try_for_each(|name| self.give_file(name, uid, gid))
    }

    /// Gives one file, if it is there; without a name, the directory.
    pub(crate) fn give_file(&self, name: &str, uid: Uid, gid: Gid) -> Result<(), HostError> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        match chownat(&self.dir, name, Some(uid), Some(gid), flags) {
            Err(Errno::NOENT) => Ok(()),
            given => given.map_err(failed("change the owner of", &self.path.join(name))),
        }
    }

    /// Opens a file that a lock is held on, and makes it if there is none.
    pub(crate) fn lock_file(&self, name: &str) -> Result<File, HostError> {
        let flags = FRESH.difference(OFlags::TRUNC);
        let file = openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR);
        file.map(File::from)
            .map_err(failed("open", &self.path.join(name)))
    }

    /// Reads the plan. A VM's record that is torn (a power failure) is removed: the VM did not outlive it.
    ///
    /// # Errors
    /// The directory or the network's record cannot be read.
    pub fn load(&self) -> Result<Plan, HostError> {
        let mut plan = Plan::default();
        for name in self.names()? {
            let slot = name
                .strip_prefix("vm-")
                .and_then(|rest| rest.strip_suffix(".json")?.parse().ok());
            if name == NETWORK {
                let read = self.read(NETWORK);
                plan.prepared = Some(read.map_err(failed("read", &self.path.join(NETWORK)))?);
            } else if name == REFUSED {
                // One that is torn is said again.
                plan.around.embedded = self.read(REFUSED).unwrap_or_default();
            } else if let Some(slot) = slot.map(Slot) {
                match self.read(&name) {
                    Ok(member) => drop(plan.members.insert(slot, member)),
                    Err(_) => self.forget(&name)?,
                }
            } else if name.ends_with(".new") {
                self.forget(&name)?;
            }
        }
        Ok(plan)
    }

    /// The names of all files.
    fn names(&self) -> Result<Vec<String>, HostError> {
        let list = || -> rustix::io::Result<Vec<String>> {
            let entries = Dir::read_from(&self.dir)?;
            let name = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            name.collect()
        };
        let mut names = list().map_err(failed("list", &self.path))?;
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    /// Brings all records to the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&self) -> io::Result<()> {
        for name in self.names().map_err(io::Error::other)? {
            // A record may go while this goes on.
            if let Ok(file) = openat(&self.dir, &name, READ, Mode::empty()) {
                rustix::fs::fsync(file)?;
            }
        }
        Ok(rustix::fs::fsync(self.dir.as_fd())?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        let mut bytes = Vec::new();
        File::from(openat(&self.dir, name, READ, Mode::empty())?).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Records the network, or a VM. What is `durable` is on the disk when this returns.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize, durable: bool) -> Result<(), HostError> {
        let fresh = format!("{name}.new");
        let write = || {
            let mut file = File::from(openat(&self.dir, &fresh, FRESH, Mode::RUSR | Mode::WUSR)?);
            file.write_all(&serde_json::to_vec(value)?)?;
            if durable {
                file.sync_all()?;
            }
            renameat(&self.dir, &fresh, &self.dir, name)?;
            if durable {
                rustix::fs::fsync(self.dir.as_fd())?;
            }
            io::Result::Ok(())
        };
        write().map_err(failed("write", &self.path.join(name)))
    }

    /// Forgets the network, or a VM.
    pub(crate) fn forget(&self, name: &str) -> Result<(), HostError> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed.map_err(failed("remove", &self.path.join(name))),
        }
    }
}

/// The name of a VM's record.
pub(crate) fn member_name(slot: Slot) -> String {
    format!("vm-{slot}.json")
}
