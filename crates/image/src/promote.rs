//! Registered images that become the store's own.

use std::fs::File;
use std::path::Path;

use banger_model::ImageName;
use banger_store::{OfFile, files};

use crate::layer::Layer;
use crate::parts::{RECORD, ROOTFS, WORK_SEED};
use crate::record::{ImageRecord, used};
use crate::store::ImageStore;
use crate::told::Progress;
use crate::{Error, disk};

impl ImageStore {
    /// Copies a registered image's files into the store, so that neither it nor its VMs depend on where they lay.
    ///
    /// # Errors
    /// When there is no such image, or files cannot be copied.
    pub fn promote(&self, name: &ImageName, progress: Progress<'_>) -> Result<ImageRecord, Error> {
        let mut id = Some(self.get(name)?.id);
        while let Some(generation) = id {
            let record = self.own(&generation)?;
            id = record.base.clone();
            if !record.managed {
                self.promote_one(record, progress)?;
            }
        }
        self.get(name)
    }

    fn promote_one(&self, record: ImageRecord, progress: Progress<'_>) -> Result<(), Error> {
        let making = self.begin()?;
        let mut done = 0;
        for (from, to) in record
            .layers
            .iter()
            .map(|layer| (&layer.path, ROOTFS))
            .chain(record.work_seed.iter().map(|path| (path, WORK_SEED)))
        {
            let to = making.path().join(to);
            disk::copy_sparse(from, &to, &mut |copied, _| {
                progress(done + copied, Some(record.bytes))
            })?;
            File::open(&to).and_then(|file| file.sync_all()).of("sync", &to)?;
            done += used(&to);
        }
        self.bring_in(record, making.path())
    }

    /// Moves a generation's files from `from` to their place.
    fn bring_in(&self, record: ImageRecord, from: &Path) -> Result<(), Error> {
        let _lock = self.lock()?;
        let place = self.dir.join("g").join(&record.id);
        let parts = [
            (!record.layers.is_empty(), ROOTFS),
            (record.work_seed.is_some(), WORK_SEED),
        ];
        for (_, name) in parts.iter().filter(|(there, _)| *there) {
            std::fs::rename(from.join(name), place.join(name))
                .of("rename a directory to", &place.join(name))?;
        }
        let promoted = ImageRecord {
            managed: true,
            layers: vec![Layer::tree(place.join(ROOTFS))],
            work_seed: record.work_seed.map(|_| place.join(WORK_SEED)),
            bytes: parts.iter().map(|(_, name)| used(&place.join(name))).sum(),
            ..record
        };
        // With the first record the files are the generation's, and with the others its names'.
        files::replace(&place.join(RECORD), &files::record(&promoted))?;
        for name in self.names()? {
            let file = self.name_file(&name);
            let named: Option<ImageRecord> = files::read_record(&file)?;
            if let Some(named) = named.filter(|named| named.id == promoted.id) {
                let record = ImageRecord {
                    name: named.name,
                    kernel: named.kernel,
                    ..promoted.clone()
                };
                files::replace(&file, &files::record(&record))?;
            }
        }
        Ok(())
    }
}
