//! The image store.
//!
//! ```text
//!  images/names/NAME.json    the record of the generation that the name means
//!  images/g/ID/record.json   a generation: what one import made; its files are never written to again
//!  images/g/ID/rootfs.ext4   its file tree, or
//!  images/g/ID/disk.ext4     the writable disk of a VM, on top of the layers of another generation, its base
//!  images/tmp/ID/            an import that goes on
//! ```
//!
//! A name can move on to another generation while VMs boot the old one; [`ImageStore::sweep`] removes generations that
//! have neither name nor VM, and are no base of one that has. On disk a record has its own layer alone.

mod removal;

use std::fs::File;
use std::path::{Path, PathBuf};

use banger_model::{ImageName, KernelName};
use banger_store::{Choice, Making, OfFile, files};

use crate::error::Error;
use crate::import::{self, ImportSource};
use crate::layer::Layer;
use crate::parts::{CONFIGURATION, MANIFEST, RECORD, ROOTFS};
use crate::record::{Draft, ImageRecord, ImportOptions};
use crate::told::Progress;

/// The store. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(crate) dir: PathBuf,
}

impl ImageStore {
    /// The store in `data_dir/images`, made when absent.
    ///
    /// # Errors
    /// When its directories cannot be made.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let dir = data_dir.join("images");
        for part in ["names", "g", "tmp"] {
            files::make_dir(&dir.join(part))?;
        }
        Making::sweep(&dir.join("tmp"));
        Ok(Self { dir })
    }

    /// Makes an image, no larger than its `limits` allow. On failure nothing of it is left.
    ///
    /// # Errors
    /// When the name is taken, the source is malformed, or files cannot be written.
    pub fn import(
        &self,
        name: &ImageName,
        source: ImportSource<'_>,
        options: &ImportOptions,
        progress: Progress<'_>,
    ) -> Result<ImageRecord, Error> {
        self.refuse_taken(name, options.force)?;
        let making = self.begin()?;
        let path = making.path().join(ROOTFS);
        let file = files::make_file(&path)?;
        let handle = file.try_clone().of("open", &path)?;
        let facts = import::into_image(file, source, &options.limits, progress)?;
        handle.sync_all().of("sync", &path)?;
        let draft = Draft {
            kernel: options.kernel.clone(),
            os: facts.os,
            init: facts.init,
            managed: true,
            ..Draft::default()
        };
        self.publish(name, making, draft, options.force)
    }

    /// Takes existing ext4 files, where they lie, as an image. Paths are absolute.
    ///
    /// # Errors
    /// When the name is taken, or a file is not ext4.
    pub fn register(
        &self,
        name: &ImageName,
        rootfs: &Path,
        work_seed: Option<&Path>,
        kernel: Option<KernelName>,
        force: bool,
    ) -> Result<ImageRecord, Error> {
        self.refuse_taken(name, force)?;
        for path in [Some(rootfs), work_seed].into_iter().flatten() {
            if !path.is_absolute() {
                return Err(banger_store::Error::Relative(path.to_owned()).into());
            }
            let file = File::open(path).of("open", path)?;
            banger_ext4::probe(&file).map_err(|source| Error::NoImage {
                path: path.to_owned(),
                source,
            })?;
        }
        let draft = Draft {
            kernel,
            layers: vec![Layer::tree(rootfs.to_owned())],
            work_seed: work_seed.map(Path::to_owned),
            ..Draft::default()
        };
        self.publish(name, self.begin()?, draft, force)
    }

    /// The manifest and the configuration of a pulled image, as they came.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn documents(&self, image: &ImageRecord) -> Result<[Option<serde_json::Value>; 2], Error> {
        let place = self.dir.join("g").join(&image.id);
        Ok([
            files::read_record(&place.join(MANIFEST))?,
            files::read_record(&place.join(CONFIGURATION))?,
        ])
    }

    /// Gives an image a second name.
    ///
    /// # Errors
    /// When there is no such image, or the new name is taken.
    pub fn tag(&self, name: &ImageName, new: &ImageName, force: bool) -> Result<ImageRecord, Error> {
        let _lock = self.lock()?;
        let record: Option<ImageRecord> = files::read_record(&self.name_file(name.as_str()))?;
        let Some(mut record) = record else {
            return self.get(name);
        };
        self.refuse_taken(new, force)?;
        self.choice().keep(&self.names()?, new.as_str())?;
        record.name = new.clone();
        files::replace(&self.name_file(new.as_str()), &files::record(&record))?;
        self.resolved(record)
    }

    /// The image that is taken when none is named.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn default(&self) -> Result<Option<ImageName>, Error> {
        let chosen = self.choice().among(&self.names()?)?;
        Ok(chosen.and_then(|name| name.parse().ok()))
    }

    /// Makes this image the one that is taken when none is named.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn set_default(&self, name: &ImageName) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.get(name)?;
        Ok(self.choice().set(name.as_str())?)
    }

    fn choice(&self) -> Choice {
        Choice::in_file(self.dir.join("default.json"))
    }

    /// Every image, by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn list(&self) -> Result<Vec<ImageRecord>, Error> {
        self.names()?
            .into_iter()
            .map(|name| self.read(&name))
            .filter_map(Result::transpose)
            .collect()
    }

    /// The names of the generation `id`.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn names_of(&self, id: &str) -> Result<Vec<ImageName>, Error> {
        let all = self.list()?.into_iter();
        let named = all.filter(|record| record.id == id);
        Ok(named.map(|record| record.name).collect())
    }

    /// The image of this name.
    ///
    /// # Errors
    /// [`banger_store::Error::NotFound`], which tells the names there are.
    pub fn get(&self, name: &ImageName) -> Result<ImageRecord, Error> {
        match self.read(name.as_str())? {
            Some(record) => Ok(record),
            None => Err(banger_store::Error::NotFound {
                kind: "image",
                name: name.to_string(),
                present: self.names()?,
            }
            .into()),
        }
    }

    /// The image generation `id`, whether or not it has a name still.
    ///
    /// # Errors
    /// When there is no such generation.
    pub fn generation(&self, id: &str) -> Result<ImageRecord, Error> {
        self.own(id).and_then(|record| self.resolved(record))
    }

    /// The image generation `id` as it is on disk.
    pub(crate) fn own(&self, id: &str) -> Result<ImageRecord, Error> {
        let record: Option<ImageRecord> = files::read_record(&self.dir.join("g").join(id).join(RECORD))?;
        record.ok_or_else(|| Error::NoGeneration(id.to_owned()))
    }

    /// A record as it was on disk, with its files where they are now, and the layers of its base below its own.
    pub(crate) fn resolved(&self, record: ImageRecord) -> Result<ImageRecord, Error> {
        let place = self.dir.join("g").join(&record.id);
        let mut record = record.at(&place);
        if let Some(base) = &record.base {
            let mut layers = self.generation(base)?.layers;
            layers.append(&mut record.layers);
            record.layers = layers;
        }
        Ok(record)
    }

    /// A directory for something in the making.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> Result<Making, Error> {
        Ok(Making::begin(&self.dir.join("tmp"), &files::random_id()?)?)
    }

    /// Puts a generation in place and gives it the name.
    pub(crate) fn publish(
        &self,
        name: &ImageName,
        making: Making,
        draft: Draft,
        force: bool,
    ) -> Result<ImageRecord, Error> {
        let id = making
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let place = self.dir.join("g").join(&id);
        let record = draft.record(name, id, &place, making.path());
        files::replace(&making.path().join(RECORD), &files::record(&record))?;
        let _lock = self.lock()?;
        // Another import of this name may have been faster, or the base have gone.
        self.refuse_taken(name, force)?;
        if let Some(base) = &record.base {
            self.own(base)?;
        }
        making.place(&place)?;
        self.choice().keep(&self.names()?, name.as_str())?;
        files::replace(&self.name_file(name.as_str()), &files::record(&record))?;
        self.resolved(record)
    }

    pub(crate) fn refuse_taken(&self, name: &ImageName, force: bool) -> Result<(), Error> {
        match self.read(name.as_str())? {
            Some(_) if !force => Err(banger_store::Error::Exists {
                kind: "image",
                name: name.to_string(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<ImageRecord>, Error> {
        let record: Option<ImageRecord> = files::read_record(&self.name_file(name))?;
        record.map(|record| self.resolved(record)).transpose()
    }

    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let dir = self.dir.join("names");
        let entries = std::fs::read_dir(&dir).of("list", &dir)?.flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    pub(crate) fn name_file(&self, name: &str) -> PathBuf {
        self.dir.join("names").join(format!("{name}.json"))
    }

    pub(crate) fn lock(&self) -> Result<File, Error> {
        Ok(files::lock(&self.dir.join("lock"))?)
    }
}
