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

use crate::file::{self, FileError, failed};

/// The records on the disk.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
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
    pub fn load(&self) -> Result<Plan, FileError> {
        let mut plan = Plan::default();
        for entry in fs::read_dir(&self.dir).map_err(failed("list", &self.dir))? {
            let name = entry.map_err(failed("list", &self.dir))?.file_name();
            let name = name.to_string_lossy();
            let slot = name
                .strip_prefix("vm-")
                .and_then(|rest| rest.strip_suffix(".json")?.parse().ok());
            if name == NETWORK {
                let read = self.read(NETWORK);
                plan.prepared = Some(read.map_err(failed("read", &self.dir.join(NETWORK)))?);
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
    pub fn save_network(&self, prepared: &Prepared) -> Result<(), FileError> {
        self.write(NETWORK, prepared, true)
    }

    /// Forgets the network.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn forget_network(&self) -> Result<(), FileError> {
        self.forget(NETWORK)
    }

    /// Records a VM.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn save_member(&self, slot: Slot, member: &Member) -> Result<(), FileError> {
        self.write(&member_name(slot), member, false)
    }

    /// Forgets a VM.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn forget_member(&self, slot: Slot) -> Result<(), FileError> {
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

    fn write(&self, name: &str, value: &impl Serialize, durable: bool) -> Result<(), FileError> {
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
        write().map_err(failed("write", &path))
    }

    fn forget(&self, name: &str) -> Result<(), FileError> {
        file::remove(&self.dir.join(name))
    }
}

fn member_name(slot: Slot) -> String {
    format!("vm-{slot}.json")
}
