//! Why an image's file tree could not be written.

use banger_bounded::{Exceeded, exceeded};
use banger_model::{Describe, Description, ErrorCode};

use crate::told::Cancelled;

/// A failure to make a file tree of an archive, a directory or layers.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file of this host.
    #[error(transparent)]
    Store(banger_store::Error),
    /// What came would become more than it may.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// The archive cannot be read on: truncated, damaged, or no archive.
    #[error("failed to read the archive after {entries} entries")]
    Archive {
        /// Entries that were read before.
        entries: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive has no end: something is missing.
    #[error("the archive is truncated: it ends after {entries} entries without an end marker")]
    Truncated {
        /// Entries that were read.
        entries: u64,
    },
    /// The archive holds nothing.
    #[error("the archive has no entries")]
    Empty,
    /// An entry that cannot go into an image.
    #[error("entry `{entry}` {fault}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// More entries than any image has.
    #[error("the archive has more than {0} entries")]
    TooMany(u64),
    /// Names of many parts, none of which is an entry: each costs a block.
    #[error(
        "the paths of {entries} entries imply {directories} directories: this may be a decompression bomb"
    )]
    Implied {
        /// Entries so far.
        entries: u64,
        /// Directories that none of them is.
        directories: u64,
    },
    /// An archive unpacks to more than it may.
    #[error("the image unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// A whiteout without a name.
    #[error("invalid whiteout `{0}` in the layer")]
    Whiteout(String),
    /// The image cannot take an entry.
    #[error("failed to write entry `{entry}`")]
    Write {
        /// Its name.
        entry: String,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// The image could not be begun or completed.
    #[error("failed to {what} the image")]
    Image {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// Nobody wants it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What is wrong with an archive's entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// It begins with a slash.
    #[error("has an absolute path")]
    Absolute,
    /// It has `..` in it, or leads out by symbolic links.
    #[error("leads out of the image")]
    Escapes,
    /// Its parents are symbolic links that lead nowhere or in a circle.
    #[error("is behind symbolic links that lead nowhere")]
    Lost,
    /// A link without a target.
    #[error("is a link without a target")]
    NoTarget,
    /// A field of its header is not what the format says.
    #[error("has a damaged header: {0}")]
    Header(String),
    /// A kind of entry that no image holds.
    #[error("has the type `{0}`, which an image cannot contain")]
    Kind(String),
}

impl WriteError {
    /// An archive that cannot be read on, or not any further.
    pub(crate) fn archive(entries: u64, source: std::io::Error) -> Self {
        match exceeded(&source) {
            Some(exceeded) => exceeded.into(),
            None => Self::Archive { entries, source },
        }
    }
}

impl Describe for WriteError {
    fn describe(&self) -> Description {
        match self {
            Self::Store(error) => error.describe(),
            Self::Exceeded(exceeded) => exceeded.describe(),
            Self::Archive { .. } | Self::Truncated { .. } => Description::hinted(
                ErrorCode::BadInput,
                "create the archive again; if it came through a pipe, check the output of the program that wrote it",
            ),
            Self::Empty => Description::hinted(
                ErrorCode::BadInput,
                "check that the program that wrote the archive had files to pack",
            ),
            Self::Entry {
                fault: EntryFault::Absolute,
                ..
            } => Description::hinted(
                ErrorCode::BadInput,
                "pack it with relative paths: `tar -C DIR -c .`",
            ),
            Self::TooMany(_) => Description::hinted(
                ErrorCode::BadInput,
                "raise `max_entries` in `[pull]` of the configuration if this size is expected",
            ),
            Self::TooLarge(_) => Description::hinted(
                ErrorCode::BadInput,
                "raise `max_size` in `[pull]` of the configuration if this size is expected",
            ),
            Self::Write { source, .. } | Self::Image { source, .. } if source.is_full() => {
                Description::hinted(
                    ErrorCode::Host,
                    "free disk space: `banger system df` shows what banger can free",
                )
            }
            Self::Entry { .. } | Self::Write { .. } | Self::Whiteout(_) | Self::Implied { .. } => {
                ErrorCode::BadInput.into()
            }
            Self::Image { .. } => ErrorCode::Host.into(),
            Self::Cancelled(_) => ErrorCode::Cancelled.into(),
        }
    }
}

impl From<banger_store::Error> for WriteError {
    /// A reader that was cut short for its budget says so by the error of its file.
    fn from(error: banger_store::Error) -> Self {
        match error.of_file().and_then(exceeded) {
            Some(exceeded) => exceeded.into(),
            None => Self::Store(error),
        }
    }
}

impl From<banger_archive::Error> for WriteError {
    fn from(error: banger_archive::Error) -> Self {
        match error {
            banger_archive::Error::Archive { entries, source } => Self::archive(entries, source),
            banger_archive::Error::Truncated { entries } => Self::Truncated { entries },
            banger_archive::Error::Entry { entry, fault } => {
                let fault = match fault {
                    banger_archive::EntryFault::NoTarget => EntryFault::NoTarget,
                    banger_archive::EntryFault::Header(what) => EntryFault::Header(what),
                    banger_archive::EntryFault::Kind(kind) => EntryFault::Kind(kind),
                };
                Self::Entry { entry, fault }
            }
        }
    }
}
