//! The kernel store.
//!
//! ```text
//!  kernels/NAME/record.json
//!  kernels/NAME/vmlinux          the ELF that Firecracker boots
//!  kernels/NAME/vmlinuz          the compressed image it came from, if it did
//!  kernels/NAME/initrd           one to run before banger's, if there is one
//!  kernels/NAME/modules/NN-*.ko  what banger's initrd loads, in order
//! ```

use std::path::{Path, PathBuf};

use banger_model::KernelName;
use banger_store::{Choice, Making, OfFile, files};

use crate::build::{KernelOptions, build};
use crate::error::Error;
use crate::record::KernelRecord;
use crate::source::Source;

/// The store. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct KernelStore {
    dir: PathBuf,
    making: PathBuf,
}

/// The name of a kernel's record.
pub const RECORD: &str = "record.json";

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
        Making::sweep(&making);
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
        Making::sweep(&self.making);
    }

    /// A directory in which a kernel is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> Result<Making, Error> {
        Ok(Making::begin(&self.making, &files::random_id()?)?)
    }

    /// Where a kernel of this name is.
    pub fn place(&self, name: &KernelName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Puts a kernel that was made in its place, with its record.
    ///
    /// # Errors
    /// When the name is taken, and not to be replaced, or files cannot be written.
    pub fn install(&self, making: Making, record: &KernelRecord, force: bool) -> Result<(), Error> {
        files::replace(&making.path().join(RECORD), &files::record(record))?;
        let _lock = files::lock(&self.dir.join(".lock"))?;
        // Another import of this name may have been faster.
        self.refuse_taken(&record.name, force)?;
        self.choice().keep(&self.names()?, record.name.as_str())?;
        let place = self.place(&record.name);
        match place.exists() {
            true => making.replace(&place)?,
            false => making.place(&place)?,
        }
        Ok(())
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
        Ok(self.choice().set(name.as_str())?)
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
    /// [`banger_store::Error::NotFound`], which tells the names there are.
    pub fn get(&self, name: &KernelName) -> Result<KernelRecord, Error> {
        match self.read(name.as_str())? {
            Some(record) => Ok(record),
            None => Err(banger_store::Error::NotFound {
                kind: "kernel",
                name: name.to_string(),
                present: self.names()?,
            }
            .into()),
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
            removed => Ok(removed.of("remove", &old)?),
        }
    }

    /// Refuses a name that a kernel has, unless it shall be replaced.
    ///
    /// # Errors
    /// [`banger_store::Error::Exists`].
    pub fn refuse_taken(&self, name: &KernelName, force: bool) -> Result<(), Error> {
        match self.read(name.as_str())? {
            Some(_) if !force => Err(banger_store::Error::Exists {
                kind: "kernel",
                name: name.to_string(),
            }
            .into()),
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
