//! Images made of what a VM has changed.

use std::fs::File;
use std::path::{Path, PathBuf};

use banger_model::{ImageName, KernelName};
use banger_store::{Making, OfFile};

use crate::facts::Facts;
use crate::layer::Layer;
use crate::parts::{DISK, ROOTFS};
use crate::record::{Draft, ImageRecord};
use crate::store::ImageStore;
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

    /// Makes it an image. One whose [layers](Committing::layers) are to be flattened has that done before, and `flat` is
    /// what is known of the result.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or it cannot be kept.
    pub fn publish_commit(
        &self,
        committing: Committing,
        flat: Option<Facts>,
        name: &ImageName,
        kernel: Option<KernelName>,
        force: bool,
    ) -> Result<ImageRecord, Error> {
        let Committing { making, base } = committing;
        let copy = making.path().join(DISK);
        let (base_id, os, init) = if let Some(facts) = flat {
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

impl Committing {
    /// The layers that have to be [flattened](crate::flatten()) into [`flat`](Self::flat) before this becomes an image, and
    /// nothing else; none where it can lie on top of those that are there.
    pub fn layers(&self) -> Option<Vec<Layer>> {
        let below = &self.base.layers;
        (below.len() + 1 >= FLATTENED_FROM).then(|| {
            let own = Layer::disk(self.making.path().join(DISK));
            below.iter().cloned().chain([own]).collect()
        })
    }

    /// Where the flattened image goes.
    pub fn flat(&self) -> PathBuf {
        self.making.path().join(ROOTFS)
    }
}
