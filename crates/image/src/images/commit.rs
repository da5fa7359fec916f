//! Images made of what a VM has changed.

use std::fs::File;
use std::path::Path;

use banger_model::{ImageName, KernelName};

use super::{DISK, Draft, ImageRecord, ImageStore, Layer, ROOTFS, flatten};
use crate::files::{self, Making, OfFile};
use crate::told::Progress;
use crate::{Error, disk};

/// From so many layers on an image is flattened to one: the kernel looks through each of them for every name, and each is
/// a disk of every VM.
const FLATTENED_FROM: usize = 8;

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
    /// When the name is taken, the disk is not at rest or cannot be copied, or `progress` ends it.
    pub fn commit(
        &self,
        name: &ImageName,
        base: &str,
        disk: &Path,
        force: bool,
        progress: Progress<'_>,
    ) -> Result<Committing, Error> {
        self.refuse_taken(name, force)?;
        let base = self.generation(base)?;
        let making = self.begin()?;
        let copy = making.path().join(DISK);
        disk::copy_sparse(disk, &copy, progress)?;
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

    /// Makes it an image. One that would have eight layers gets one instead, with all that is in them, of which `progress`
    /// is told.
    ///
    /// # Errors
    /// When the name was taken meanwhile, a layer cannot be read to be flattened, it cannot be kept, or `progress` ends it.
    pub fn publish_commit(
        &self,
        committing: Committing,
        name: &ImageName,
        kernel: Option<KernelName>,
        force: bool,
        progress: Progress<'_>,
    ) -> Result<ImageRecord, Error> {
        let Committing { making, base } = committing;
        let copy = making.path().join(DISK);
        let is_flat = base.layers.len() + 1 >= FLATTENED_FROM;
        let (base_id, os, init) = if is_flat {
            let layers: Vec<Layer> = base
                .layers
                .into_iter()
                .chain([Layer::disk(copy.clone())])
                .collect();
            let path = making.path().join(ROOTFS);
            let file = files::make_file(&path)?;
            let handle = file.try_clone().of("open", &path)?;
            let facts = flatten::into_one(&layers, file, progress)?;
            handle.sync_all().of("sync", &path)?;
            std::fs::remove_file(&copy).of("remove", &copy)?;
            (None, facts.os, facts.init)
        } else {
            File::open(&copy)
                .and_then(|file| file.sync_all())
                .of("sync", &copy)?;
            (Some(base.id), base.os, base.init)
        };
        let draft = Draft {
            managed: true,
            base: base_id,
            kernel: kernel.or(base.kernel),
            os,
            init,
            config: base.config,
            ..Draft::default()
        };
        self.publish(name, making, draft, force)
    }
}
