//! What a child is asked to do.

use std::path::PathBuf;

use banger_api::{ImageExport, ImageImport, ImagePull, ImageUpload, KernelImport, KernelPull};
use banger_image::{ImageRecord, Layer};
use banger_kernel::KernelRecord;
use banger_model::ImageName;
use banger_oci::PullSource;
use serde::{Deserialize, Serialize};

/// Work on what a foreign side made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Pull an image, from what its reference was understood as. Gives a [`PulledImage`].
    Pull {
        /// What was asked for.
        request: ImagePull,
        /// What its reference was understood as.
        source: Option<PullSource>,
    },
    /// Import a tar or a directory. Gives a record.
    Import(ImageImport),
    /// Import the tar that follows on standard input. Gives a record.
    Upload {
        /// What it is to be called.
        name: ImageName,
        /// What else was asked for.
        options: ImageUpload,
    },
    /// Write an image into an archive. Gives an `ImageExported`.
    Export {
        /// Which image.
        name: ImageName,
        /// What was asked for.
        request: ImageExport,
    },
    /// List the differences of two images as bytes of JSON.
    Diff {
        /// The one.
        image: Box<ImageRecord>,
        /// What it is compared with.
        other: Box<ImageRecord>,
    },
    /// Write layers as one file tree into a new file. Gives its `Facts`.
    Flatten {
        /// The lowest first.
        layers: Vec<Layer>,
        /// The new file.
        to: PathBuf,
    },
    /// Import a kernel. Gives a record.
    Kernel(KernelImport),
    /// Pull a kernel from a catalog. Gives a [`PulledKernel`].
    KernelPull(KernelPull),
}

/// What came of a pull.
#[derive(Debug, Serialize, Deserialize)]
pub struct PulledImage {
    /// What the store has now.
    pub record: ImageRecord,
    /// Whether it had that before.
    pub unchanged: bool,
}

/// The same of a kernel.
#[derive(Debug, Serialize, Deserialize)]
pub struct PulledKernel {
    /// What the store has now.
    pub record: KernelRecord,
    /// Whether it had that before.
    pub was_here: bool,
}

impl Job {
    /// Whether its time depends on somebody else: a registry, a client that sends.
    pub(crate) fn waits_for_others(&self) -> bool {
        matches!(
            self,
            Self::Pull { .. } | Self::Upload { .. } | Self::Import(_) | Self::Kernel(_) | Self::KernelPull(_)
        )
    }

    /// Whether programs of the user's are run for it: helpers for credentials, a package manager. They need the user's
    /// environment.
    pub(crate) fn runs_programs(&self) -> bool {
        matches!(self, Self::Pull { .. } | Self::Kernel(_) | Self::KernelPull(_))
    }
}
