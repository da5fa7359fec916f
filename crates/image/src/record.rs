//! What the store knows of an image.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use banger_model::{ImageConfig, ImageName, ImageOrigin, KernelName};
use serde::{Deserialize, Serialize};

use crate::layer::Layer;
use crate::options::PullOptions;
use crate::parts::{DISK, ROOTFS, WORK_SEED};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its name.
    pub name: ImageName,
    /// The generation: random, and new for every import.
    pub id: String,
    /// Whether the store owns its files.
    pub managed: bool,
    /// The generation whose layers are below its own.
    #[serde(default)]
    pub base: Option<String>,
    /// Its read-only layers, the lowest first.
    pub layers: Vec<Layer>,
    /// The work seed, if it has one.
    pub work_seed: Option<PathBuf>,
    /// The kernel that its VMs boot, if it names one.
    pub kernel: Option<KernelName>,
    /// `PRETTY_NAME` of its os-release.
    pub os: Option<String>,
    /// The init found in it: `systemd`, `openrc`, `runit`, `sysvinit`.
    pub init: Option<String>,
    /// What its maker says of how to run it.
    #[serde(default)]
    pub config: Option<ImageConfig>,
    /// Where it was pulled from.
    #[serde(default)]
    pub origin: Option<ImageOrigin>,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a prune removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagesPruned {
    /// The names.
    pub names: Vec<ImageName>,
    /// Bytes on disk that nothing needs any more.
    pub bytes: u64,
}

impl ImageRecord {
    /// Whether it can be fetched again. One that was committed, built or imported may be nowhere else.
    pub fn can_be_fetched(&self) -> bool {
        self.origin.as_ref().is_some_and(ImageOrigin::is_elsewhere)
    }

    /// The record of an image whose managed files are in `place` now: a store may be moved.
    pub(crate) fn at(mut self, place: &Path) -> Self {
        if self.managed {
            let layers = self.layers.iter_mut().map(|layer| &mut layer.path);
            for path in layers.chain(&mut self.work_seed) {
                *path = place.join(path.file_name().unwrap_or_default());
            }
        }
        self
    }
}

/// How an image is imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The kernel that its VMs boot.
    pub kernel: Option<KernelName>,
    /// Take the name over from an image that has it.
    pub force: bool,
    /// How large it may be.
    pub limits: PullOptions,
}

/// What is known of a generation before it has its place.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) managed: bool,
    pub(crate) has_seed: bool,
    pub(crate) base: Option<String>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) work_seed: Option<PathBuf>,
    pub(crate) kernel: Option<KernelName>,
    pub(crate) os: Option<String>,
    pub(crate) init: Option<String>,
    pub(crate) config: Option<ImageConfig>,
    pub(crate) origin: Option<ImageOrigin>,
}

impl Draft {
    pub(crate) fn record(self, name: &ImageName, id: String, place: &Path, making: &Path) -> ImageRecord {
        let (layers, work_seed) = if self.managed {
            let layer = match self.base {
                Some(_) => Layer::disk(place.join(DISK)),
                None => Layer::tree(place.join(ROOTFS)),
            };
            (vec![layer], self.has_seed.then(|| place.join(WORK_SEED)))
        } else {
            (self.layers, self.work_seed)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let parts = layers.iter().map(|layer| &layer.path).chain(&work_seed);
        // Managed files are still where they are made.
        let here = |path: &Path| {
            if self.managed {
                making.join(path.file_name().unwrap_or_default())
            } else {
                path.to_owned()
            }
        };
        ImageRecord {
            name: name.clone(),
            id,
            managed: self.managed,
            base: self.base,
            bytes: parts.map(|path| used(&here(path))).sum(),
            layers,
            work_seed,
            kernel: self.kernel,
            os: self.os,
            init: self.init,
            config: self.config,
            origin: self.origin,
            created: now.as_secs(),
        }
    }
}

/// Bytes that a file takes on disk; none when it cannot be seen.
pub(crate) fn used(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}
