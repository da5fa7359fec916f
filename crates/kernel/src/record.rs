//! What the store knows of a kernel.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use banger_model::KernelName;
use banger_store::Digest;
use serde::{Deserialize, Serialize};

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRecord {
    /// Its name.
    pub name: KernelName,
    /// Random, and new for every import.
    pub id: String,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub version: String,
    /// Where it came from, in words.
    pub source: String,
    /// The uncompressed ELF.
    pub vmlinux: PathBuf,
    /// The compressed boot image, where there is one.
    pub vmlinuz: Option<PathBuf>,
    /// An initrd to run before banger's own.
    pub initrd: Option<PathBuf>,
    /// File names of the modules that a guest loads, in that order, below [`modules_dir`](Self::modules_dir).
    pub modules: Vec<String>,
    /// Where they are.
    pub modules_dir: PathBuf,
    /// Boot arguments that it needs.
    pub append: Vec<String>,
    /// The most virtual CPUs it takes, if there is a bound.
    pub max_vcpus: Option<u32>,
    /// What it was found to support: `pvh`, `smp`, `virtio-net`, …; `unchecked` when its configuration is not known.
    pub supports: Vec<String>,
    /// The artifact of a catalog that it was pulled as.
    #[serde(default)]
    pub artifact: Option<Digest>,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was imported, in seconds since the epoch.
    pub created: u64,
}

impl KernelRecord {
    /// Whether it can be fetched again: from a catalog or as a package. Another one may be nowhere else.
    pub fn can_be_fetched(&self) -> bool {
        self.artifact.is_some() || self.source.starts_with("package ")
    }

    /// Whether QEMU can boot it: a bzImage, or an ELF with a PVH entry.
    pub fn boots_under_qemu(&self) -> bool {
        self.vmlinuz.is_some() || self.has_pvh()
    }

    /// Whether its ELF has a PVH entry.
    pub fn has_pvh(&self) -> bool {
        self.supports.iter().any(|feature| feature == "pvh")
    }

    /// Whether its guests drive a network card; nothing when its configuration is not known.
    pub fn drives_network(&self) -> Option<bool> {
        let has = |feature: &str| self.supports.iter().any(|supported| supported == feature);
        match (has(VIRTIO_NET), has(UNCHECKED)) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }

    /// The record of a kernel whose files are in `place` now: a store may be moved.
    #[must_use]
    pub fn at(mut self, place: &Path) -> Self {
        let here = |path: &Path| place.join(path.file_name().unwrap_or_default());
        self.vmlinux = here(&self.vmlinux);
        self.vmlinuz = self.vmlinuz.as_deref().map(here);
        self.initrd = self.initrd.as_deref().map(here);
        self.modules_dir = here(&self.modules_dir);
        self
    }
}

/// Words of [`KernelRecord::supports`].
pub(crate) const VIRTIO_NET: &str = "virtio-net";
pub(crate) const UNCHECKED: &str = "unchecked";

/// Seconds since the epoch.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The bytes of all files below a directory.
pub fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
