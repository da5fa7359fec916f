//! Where images and kernels are kept.

use banger_api::Paths;
use banger_image::ImageStore;
use banger_kernel::KernelStore;
use banger_model::{Describe, Description};

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

/// The stores cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// That of images.
    #[error(transparent)]
    Images(#[from] banger_image::Error),
    /// That of kernels.
    #[error(transparent)]
    Kernels(#[from] banger_kernel::Error),
}

impl Describe for StoresError {
    fn describe(&self) -> Description {
        match self {
            Self::Images(source) => source.describe(),
            Self::Kernels(source) => source.describe(),
        }
    }
}

impl Stores {
    /// Opens the stores at these paths; several processes may.
    ///
    /// # Errors
    /// When their directories cannot be made.
    pub fn open(paths: Paths) -> Result<Self, StoresError> {
        Ok(Self {
            images: ImageStore::open(&paths.data)?,
            kernels: KernelStore::open(&paths.data, &paths.cache)?,
            paths,
        })
    }
}
