//! Why a layer of the store could not be read.

use std::path::PathBuf;

use banger_bounded::{Exceeded, exceeded};
use banger_model::{Describe, Description, ErrorCode};

/// A failure to read a layer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file of this host.
    #[error(transparent)]
    Store(banger_store::Error),
    /// It has more than it may.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// More entries than any layer has.
    #[error("the layer has more than {0} entries")]
    TooMany(usize),
    /// A file that shall be a layer is none.
    #[error("cannot use {} as an image", .path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// An entry cannot be read.
    #[error("failed to read `{entry}` of the layer {}", .layer.display())]
    Entry {
        /// The layer's file.
        layer: PathBuf,
        /// Which entry; the root's name is empty.
        entry: String,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// The content of a file cannot be read.
    #[error("failed to read a file of a layer")]
    Content(#[source] std::io::Error),
    /// A hard link to what no layer has.
    #[error("entry `{0}` is a link without a target")]
    NoTarget(String),
    /// It was written by an overlay with other options than ours.
    #[error("`{entry}` of the layer {} has its content elsewhere: the overlay was mounted with redirects or metadata copies", .layer.display())]
    Redirected {
        /// The layer's file.
        layer: PathBuf,
        /// Which entry.
        entry: String,
    },
}

impl Describe for ReadError {
    fn describe(&self) -> Description {
        match self {
            Self::Store(error) => error.describe(),
            Self::Exceeded(exceeded) => exceeded.describe(),
            Self::NoImage { .. } => Description::hinted(
                ErrorCode::BadInput,
                "`image register` accepts ext4; use `image import` for a tar archive or a directory",
            ),
            Self::Redirected { .. } => Description::hinted(
                ErrorCode::BadInput,
                "create the VM again with this version of banger, whose guests keep complete copies of moved files",
            ),
            Self::TooMany(_) | Self::Entry { .. } | Self::Content(_) | Self::NoTarget(_) => {
                ErrorCode::BadInput.into()
            }
        }
    }
}

impl From<banger_store::Error> for ReadError {
    /// A reader that was cut short for its budget says so by the error of its file.
    fn from(error: banger_store::Error) -> Self {
        match error.of_file().and_then(exceeded) {
            Some(exceeded) => exceeded.into(),
            None => Self::Store(error),
        }
    }
}
