//! What goes out of the store: images, what nobody uses, and what an interrupted import left.

use banger_store::OfFile;
use std::collections::BTreeSet;

use banger_model::ImageName;
use banger_store::{Making, files};

use super::ImageStore;
use crate::error::Error;
use crate::parts::{DISK, ROOTFS};
use crate::record::{ImageRecord, ImagesPruned, used};

impl ImageStore {
    /// Takes an image's name away. Its files go with [`sweep`](Self::sweep).
    ///
    /// # Errors
    /// When there is no such image.
    pub fn delete(&self, name: &ImageName) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.get(name)?;
        let path = self.name_file(name.as_str());
        std::fs::remove_file(&path).of("remove", &path)?;
        files::sync_parent(&path)?;
        Ok(self.choice().forget(name.as_str())?)
    }

    /// Removes the images that are not among `in_use` nor below one that is, but for the one to `spare`; with `dry_run`
    /// only tells what it would do.
    ///
    /// # Errors
    /// As [`sweep`](Self::sweep).
    pub fn prune(
        &self,
        in_use: &BTreeSet<String>,
        spare: impl Fn(&ImageRecord) -> bool,
        dry_run: bool,
    ) -> Result<ImagesPruned, Error> {
        let used = self.with_bases(in_use.iter().cloned())?;
        let (kept, going): (Vec<_>, Vec<_>) = self
            .list()?
            .into_iter()
            .partition(|image| used.contains(&image.id) || spare(image));
        let kept = self.with_bases(kept.into_iter().map(|image| image.id).chain(used))?;
        // Names may share a generation, and what is below one may stay.
        let freed = self.with_bases(going.iter().map(|image| image.id.clone()))?;
        let freed = freed.difference(&kept).map(|id| self.own(id));
        let freed: Vec<ImageRecord> = freed.collect::<Result<_, _>>()?;
        let pruned = ImagesPruned {
            names: going.into_iter().map(|image| image.name).collect(),
            bytes: freed
                .iter()
                .filter(|record| record.managed)
                .map(|record| record.bytes)
                .sum(),
        };
        if !dry_run {
            pruned.names.iter().try_for_each(|name| self.delete(name))?;
            self.sweep(in_use)?;
        }
        Ok(pruned)
    }

    /// Removes the generations that have no name and are not among `in_use`, and what killed imports left. Gives the
    /// bytes that this freed.
    ///
    /// # Errors
    /// When the store cannot be read or something cannot be removed.
    pub fn sweep(&self, in_use: &BTreeSet<String>) -> Result<u64, Error> {
        let _lock = self.lock()?;
        Making::sweep(&self.dir.join("tmp"));
        let named = self.list()?.into_iter().map(|record| record.id);
        let kept = self.with_bases(named.chain(in_use.iter().cloned()))?;
        let parent = self.dir.join("g");
        let mut freed = 0;
        for entry in std::fs::read_dir(&parent).of("list", &parent)?.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if kept.contains(&id) {
                continue;
            }
            freed += used(&entry.path().join(ROOTFS)) + used(&entry.path().join(DISK));
            std::fs::remove_dir_all(entry.path()).of("remove", &entry.path())?;
        }
        Ok(freed)
    }

    /// These generations, and those that are below them. What is not there has none below it; what cannot be read ends
    /// this, because it may have.
    fn with_bases(&self, ids: impl IntoIterator<Item = String>) -> Result<BTreeSet<String>, Error> {
        let mut all = BTreeSet::new();
        for id in ids {
            let mut next = Some(id);
            while let Some(id) = next {
                next = match self.own(&id) {
                    Ok(record) => record.base,
                    Err(Error::NoGeneration(_)) => None,
                    Err(error) => return Err(error),
                };
                if !all.insert(id) {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Removes what killed imports left.
    pub fn clear_unfinished(&self) {
        Making::sweep(&self.dir.join("tmp"));
    }
}
