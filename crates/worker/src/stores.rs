//! Where images and kernels are kept.

use banger_api::Paths;
use banger_image::{ImageStore, KernelStore};

/// Where things are, for a job and for who has it done.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Where everything is kept.
    pub paths: Paths,
    /// Images.
    pub images: ImageStore,
    /// Kernels.
    pub kernels: KernelStore,
}

impl Stores {
    /// Opens the stores at these paths; several processes may.
    ///
    /// # Errors
    /// When their directories cannot be made.
    pub fn open(paths: Paths) -> Result<Self, banger_image::Error> {
        Ok(Self {
            images: ImageStore::open(&paths.data)?,
            kernels: KernelStore::open(&paths.data, &paths.cache)?,
            paths,
        })
    }
}
