//! The kernel store.
//!
//! ```text
//!  kernels/NAME/record.json
//!  kernels/NAME/vmlinux          the ELF that Firecracker boots
//!  kernels/NAME/vmlinuz          the compressed image it came from, if it did
//!  kernels/NAME/initrd           one to run before banger's, if there is one
//!  kernels/NAME/modules/NN-*.ko  what banger's initrd loads, in order
//! ```

mod config;
mod deb;
mod modules;
mod source;
mod vmlinux;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use banger_model::KernelName;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::budget::Exceeded;
use crate::catalog::Digest;
use crate::choice::Choice;
use crate::files::{self, Making, OfFile};

pub use source::Source;
pub(crate) use vmlinux::arch_of;

use config::Config;
use source::Found;

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
        self.vmlinuz.is_some() || self.supports.iter().any(|feature| feature == "pvh")
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
    pub(crate) fn at(mut self, place: &Path) -> Self {
        let here = |path: &Path| place.join(path.file_name().unwrap_or_default());
        self.vmlinux = here(&self.vmlinux);
        self.vmlinuz = self.vmlinuz.as_deref().map(here);
        self.initrd = self.initrd.as_deref().map(here);
        self.modules_dir = here(&self.modules_dir);
        self
    }
}

/// Words of [`KernelRecord::supports`].
const VIRTIO_NET: &str = "virtio-net";
const UNCHECKED: &str = "unchecked";

/// How a kernel is imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelOptions {
    /// Boot arguments that it needs.
    pub append: Vec<String>,
    /// The most virtual CPUs it takes.
    pub max_vcpus: Option<u32>,
    /// Replace a kernel of the same name.
    pub force: bool,
}

/// The store. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct KernelStore {
    dir: PathBuf,
    making: PathBuf,
}

/// The name of a kernel's record.
pub(crate) const RECORD: &str = "record.json";

impl KernelStore {
    /// The store in `data_dir/kernels`, made when absent. `cache_dir` is where downloads go while they are needed.
    ///
    /// # Errors
    /// When its directories cannot be made.
    pub fn open(data_dir: &Path, cache_dir: &Path) -> Result<Self, Error> {
        let dir = data_dir.join("kernels");
        let making = dir.join(".making");
        files::make_dir(&making)?;
        files::make_dir(cache_dir)?;
        files::sweep(&making);
        Ok(Self { dir, making })
    }

    /// Imports a kernel: unpacks it, checks that it has what banger needs, and takes the modules that it needs. `note`
    /// is told what goes on. On failure nothing of it is left.
    ///
    /// # Errors
    /// When the name is taken, the source is not there or malformed, or the kernel lacks something.
    pub fn import(
        &self,
        name: &KernelName,
        source: &Source,
        options: &KernelOptions,
        note: &mut dyn FnMut(&str),
    ) -> Result<KernelRecord, Error> {
        self.refuse_taken(name, options.force)?;
        let id = files::random_id()?;
        let scratch = Making::begin(&self.making, &format!("{id}-source"))?;
        let found = source.find(scratch.path(), note)?;
        let making = Making::begin(&self.making, &id)?;
        let place = self.place(name);
        let record = build(name, id, &found, options, making.path(), &place, note)?;
        self.install(making, &record, options.force)?;
        Ok(record)
    }

    /// Removes what killed imports left.
    pub fn clear_unfinished(&self) {
        files::sweep(&self.making);
    }

    /// A directory in which a kernel is made.
    pub(crate) fn begin(&self) -> Result<Making, Error> {
        Making::begin(&self.making, &files::random_id()?)
    }

    /// Where a kernel of this name is.
    pub(crate) fn place(&self, name: &KernelName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Puts a kernel that was made in its place, with its record.
    pub(crate) fn install(&self, making: Making, record: &KernelRecord, force: bool) -> Result<(), Error> {
        files::replace(&making.path().join(RECORD), &files::record(record))?;
        let _lock = files::lock(&self.dir.join(".lock"))?;
        // Another import of this name may have been faster.
        self.refuse_taken(&record.name, force)?;
        self.choice().keep(&self.names()?, record.name.as_str())?;
        let place = self.place(&record.name);
        match place.exists() {
            true => making.replace(&place),
            false => making.place(&place),
        }
    }

    /// The kernel that is taken when none is named.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn default(&self) -> Result<Option<KernelName>, Error> {
        let chosen = self.choice().among(&self.names()?)?;
        Ok(chosen.and_then(|name| name.parse().ok()))
    }

    /// Makes this kernel the one that is taken when none is named.
    ///
    /// # Errors
    /// When there is no such kernel.
    pub fn set_default(&self, name: &KernelName) -> Result<(), Error> {
        let _lock = files::lock(&self.dir.join(".lock"))?;
        self.get(name)?;
        self.choice().set(name.as_str())
    }

    fn choice(&self) -> Choice {
        Choice::in_file(self.dir.join(".default.json"))
    }

    /// Every kernel, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn list(&self) -> Result<Vec<KernelRecord>, Error> {
        self.names()?
            .into_iter()
            .map(|name| self.read(&name))
            .filter_map(Result::transpose)
            .collect()
    }

    /// The kernel of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], which tells the names there are.
    pub fn get(&self, name: &KernelName) -> Result<KernelRecord, Error> {
        match self.read(name.as_str())? {
            Some(record) => Ok(record),
            None => Err(Error::NotFound {
                kind: "kernel",
                name: name.to_string(),
                present: self.names()?,
            }),
        }
    }

    /// Removes a kernel.
    ///
    /// # Errors
    /// When there is no such kernel, or it cannot be removed.
    pub fn remove(&self, name: &KernelName) -> Result<(), Error> {
        let _lock = files::lock(&self.dir.join(".lock"))?;
        let record = self.get(name)?;
        let (place, old) = (
            self.dir.join(name.as_str()),
            self.making.join(format!("{}-old", record.id)),
        );
        // Gone at once for everybody, and then piece by piece.
        std::fs::rename(&place, &old).of("remove", &place)?;
        self.choice().forget(name.as_str())?;
        match std::fs::remove_dir_all(&old) {
            // A sweep was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.of("remove", &old),
        }
    }

    pub(crate) fn refuse_taken(&self, name: &KernelName, force: bool) -> Result<(), Error> {
        match self.read(name.as_str())? {
            Some(_) if !force => Err(Error::Exists {
                kind: "kernel",
                name: name.to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<KernelRecord>, Error> {
        let place = self.dir.join(name);
        let record: Option<KernelRecord> = files::read_record(&place.join(RECORD))?;
        Ok(record.map(|record| record.at(&place)))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = std::fs::read_dir(&self.dir).of("list", &self.dir)?.flatten();
        let named = entries.filter_map(|entry| entry.file_name().into_string().ok());
        // Names of kernels never begin with a dot.
        let mut names: Vec<String> = named.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        Ok(names)
    }
}

/// Puts the kernel's files into `dir` and tells what they are once that is `place`.
fn build(
    name: &KernelName,
    id: String,
    found: &Found,
    options: &KernelOptions,
    dir: &Path,
    place: &Path,
    note: &mut dyn FnMut(&str),
) -> Result<KernelRecord, Error> {
    let elf = vmlinux::read(&found.kernel)?;
    if elf.compressed {
        copy_at_most("kernel", vmlinux::LARGEST, &found.kernel, &dir.join("vmlinuz"))?;
    }
    files::replace(&dir.join("vmlinux"), &elf.bytes)?;
    if let Some(initrd) = &found.initrd {
        copy_at_most("initrd", LARGEST_INITRD, initrd, &dir.join("initrd"))?;
    }
    let known = match &found.config {
        Some(path) => Some(std::fs::read_to_string(path).of("read", path)?),
        None => vmlinux::embedded_config(&elf.bytes),
    };
    let config = known.as_deref().map(Config::parse);
    let wanted = config::wanted(config.as_ref(), found.modules.is_some())?;
    let mut supports = vmlinux::supports(&elf.bytes);
    match &config {
        Some(config) => supports.extend(config.supports()),
        None => {
            note(
                "this kernel's configuration is not known: whether it has what banger needs shows when it boots",
            );
            supports.push(UNCHECKED.to_owned());
        }
    }
    let modules = modules::take(&wanted, found.modules.as_deref(), &dir.join("modules"))?;
    if config::drives_network(config.as_ref(), &modules) {
        supports.push(VIRTIO_NET.to_owned());
    }
    let file = |name: &str| dir.join(name).exists().then(|| place.join(name));
    Ok(KernelRecord {
        name: name.clone(),
        id,
        version: elf.version,
        source: found.words.clone(),
        vmlinux: place.join("vmlinux"),
        vmlinuz: file("vmlinuz"),
        initrd: file("initrd"),
        modules,
        modules_dir: place.join("modules"),
        append: options.append.clone(),
        max_vcpus: options.max_vcpus,
        supports,
        artifact: None,
        bytes: bytes_in(dir),
        created: now(),
    })
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The release of the kernel in this file.
pub(crate) fn version_of(path: &Path) -> Result<String, Error> {
    vmlinux::read(path).map(|elf| elf.version)
}

/// The most bytes of a kernel's own initrd: it is unpacked into the guest's memory.
const LARGEST_INITRD: u64 = 1 << 30;

fn copy_at_most(what: &'static str, most: u64, from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = std::fs::File::open(from).of("open", from)?;
    if source.metadata().of("look at", from)?.len() > most {
        return Err(Exceeded::Part { what, most }.into());
    }
    let mut target = files::make_file(to)?;
    std::io::copy(&mut source.by_ref().take(most), &mut target).of("copy to", to)?;
    target.sync_all().of("sync", to)
}

/// The bytes of all files below a directory.
pub(crate) fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
