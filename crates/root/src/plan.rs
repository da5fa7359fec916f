//! The recorded plan: what shall be on the host, in the helper's state directory.
//!
//! `network.json` is the network, `vm-SLOT.json` a VM. A record appears by rename before its object is taken and goes
//! after its object is gone. The network's is on the disk by then. A VM's is on its way there: a record that a power
//! failure takes is that of a VM which the same failure ended, so an attach does not wait for the disk
//! ([`Store::sync`] follows it).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use banger_model::network::{Member, Plan, Prepared, Slot};
use serde::{Serialize, de::DeserializeOwned};

/// The records on the disk.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
}

/// A record that could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the record {path}")]
pub struct StoreError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

const NETWORK: &str = "network.json";

impl Store {
    /// The records in `dir`, which must exist and be root's alone.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Reads the plan. A VM's record that is torn (a power failure) is removed: the VM did not outlive it.
    ///
    /// # Errors
    /// The directory or the network's record cannot be read.
    pub fn load(&self) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        for entry in fs::read_dir(&self.dir).map_err(self.failed("list", ""))? {
            let name = entry.map_err(self.failed("list", ""))?.file_name();
            let name = name.to_string_lossy();
            let slot = name
                .strip_prefix("vm-")
                .and_then(|rest| rest.strip_suffix(".json")?.parse().ok());
            if name == NETWORK {
                plan.prepared = Some(self.read(NETWORK).map_err(self.failed("read", NETWORK))?);
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

    /// Records the network, on the disk when this returns.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn save_network(&self, prepared: &Prepared) -> Result<(), StoreError> {
        self.write(NETWORK, prepared, true)
    }

    /// Forgets the network.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn forget_network(&self) -> Result<(), StoreError> {
        self.forget(NETWORK)
    }

    /// Records a VM.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn save_member(&self, slot: Slot, member: &Member) -> Result<(), StoreError> {
        self.write(&member_name(slot), member, false)
    }

    /// Forgets a VM.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn forget_member(&self, slot: Slot) -> Result<(), StoreError> {
        self.forget(&member_name(slot))
    }

    /// Brings all records to the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            // A record may go while this goes on.
            if let Ok(file) = File::open(entry?.path()) {
                file.sync_all()?;
            }
        }
        File::open(dir)?.sync_all()
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        Ok(serde_json::from_slice(&fs::read(self.dir.join(name))?)?)
    }

    fn write(&self, name: &str, value: &impl Serialize, durable: bool) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let fresh = self.dir.join(format!("{name}.new"));
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            if !durable {
                return fs::rename(&fresh, &path);
            }
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(self.failed("write", name))
    }

    fn forget(&self, name: &str) -> Result<(), StoreError> {
        remove(&self.dir.join(name)).map_err(self.failed("remove", name))
    }

    fn failed(&self, operation: &'static str, name: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.dir.join(name);
        move |source| StoreError {
            operation,
            path,
            source,
        }
    }
}

fn member_name(slot: Slot) -> String {
    format!("vm-{slot}.json")
}

/// Removes a file, which need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
