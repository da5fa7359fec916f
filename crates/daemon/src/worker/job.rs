//! What a child is asked to do.

use std::path::PathBuf;

use banger_api::{ImageExport, ImageImport, ImagePull, ImageUpload, KernelImport, KernelPull};
use banger_image::{ImageRecord, KernelRecord, Layer, PullSource};
use banger_model::ImageName;
use serde::{Deserialize, Serialize};

/// Work on what a foreign side made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// Pull an image, from what its reference was understood as. Gives a [`PulledImage`].
    Pull {
        request: ImagePull,
        source: Option<PullSource>,
    },
    /// Import a tar or a directory. Gives a record.
    Import(ImageImport),
    /// Import the tar that follows on standard input. Gives a record.
    Upload { name: ImageName, options: ImageUpload },
    /// Write an image into an archive. Gives an `ImageExported`.
    Export { name: ImageName, request: ImageExport },
    /// List the differences of two images as bytes of JSON.
    Diff {
        image: Box<ImageRecord>,
        other: Box<ImageRecord>,
    },
    /// Write layers as one file tree into a new file. Gives its `Facts`.
    Flatten { layers: Vec<Layer>, to: PathBuf },
    /// Import a kernel. Gives a record.
    Kernel(KernelImport),
    /// Pull a kernel from a catalog. Gives a [`PulledKernel`].
    KernelPull(KernelPull),
}

/// What came of a pull.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PulledImage {
    pub(crate) record: ImageRecord,
    pub(crate) unchanged: bool,
}

/// The same of a kernel.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PulledKernel {
    pub(crate) record: KernelRecord,
    pub(crate) was_here: bool,
}

impl Job {
    /// Whether its time depends on somebody else: a registry, a client that sends.
    pub(super) fn waits_for_others(&self) -> bool {
        matches!(
            self,
            Self::Pull { .. } | Self::Upload { .. } | Self::Import(_) | Self::Kernel(_) | Self::KernelPull(_)
        )
    }

    /// Whether programs of the user's are run for it: helpers for credentials, a package manager. They need the user's
    /// environment.
    pub(super) fn runs_programs(&self) -> bool {
        matches!(self, Self::Pull { .. } | Self::Kernel(_) | Self::KernelPull(_))
    }
}
