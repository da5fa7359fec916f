//! Images made of what a VM has changed.

use std::fs::File;
use std::path::Path;

use banger_model::{ImageName, KernelName};

use super::{DISK, Draft, ImageRecord, ImageStore};
use crate::files::{Making, OfFile};
use crate::{Error, disk};

/// The most layers that an image may have: VMs name their disks by letters, and the kernel looks through each layer.
const MOST_LAYERS: usize = 16;

/// A disk that has been copied and is no image yet.
#[derive(Debug)]
pub struct Committing {
    making: Making,
    base: ImageRecord,
}

impl ImageStore {
    /// Copies the writable disk of a VM that boots the generation `base`. Nothing may write to the disk meanwhile, and its
    /// file system must be at rest: unmounted, or frozen.
    ///
    /// # Errors
    /// When the name is taken, the disk is not at rest or cannot be copied, or there would be too many layers.
    pub fn commit(
        &self,
        name: &ImageName,
        base: &str,
        disk: &Path,
        force: bool,
    ) -> Result<Committing, Error> {
        self.refuse_taken(name, force)?;
        let base = self.generation(base)?;
        if base.layers.len() + 1 > MOST_LAYERS {
            return Err(Error::TooManyLayers(MOST_LAYERS));
        }
        let making = self.begin()?;
        let copy = making.path().join(DISK);
        disk::copy_sparse(disk, &copy)?;
        let file = File::open(&copy).of("open", &copy)?;
        let found = banger_ext4::probe(&file).map_err(|source| Error::NoImage {
            path: disk.to_owned(),
            source,
        })?;
        if found.needs_recovery {
            return Err(Error::NotAtRest);
        }
        Ok(Committing { making, base })
    }

    /// Makes it an image.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or it cannot be kept.
    pub fn publish_commit(
        &self,
        committing: Committing,
        name: &ImageName,
        kernel: Option<KernelName>,
        force: bool,
    ) -> Result<ImageRecord, Error> {
        let Committing { making, base } = committing;
        let copy = making.path().join(DISK);
        File::open(&copy)
            .and_then(|file| file.sync_all())
            .of("sync", &copy)?;
        let draft = Draft {
            managed: true,
            base: Some(base.id),
            kernel: kernel.or(base.kernel),
            os: base.os,
            init: base.init,
            config: base.config,
            ..Draft::default()
        };
        self.publish(name, making, draft, force)
    }
}
