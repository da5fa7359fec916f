//! Why an image could not be had, made or read.

use std::path::PathBuf;

use banger_bounded::{Exceeded, exceeded};
use banger_model::{Describe, ErrorCode};

/// A failure of a store or an import.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, records and names of a store.
    #[error(transparent)]
    Store(banger_store::Error),
    /// The files of an image are gone.
    #[error("the image's files (generation {0}) are not in the store")]
    NoGeneration(String),
    /// The archive cannot be read on: truncated, damaged, or no archive.
    #[error("read the archive after {entries} entries")]
    Archive {
        /// Entries that were read before.
        entries: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive has no end: something is missing.
    #[error("the archive ends after {entries} entries without its end mark: it is truncated")]
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
    /// The image cannot take an entry.
    #[error("write entry `{entry}`")]
    Write {
        /// Its name.
        entry: String,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// The image could not be begun or completed.
    #[error("{what} the image")]
    Image {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// The file of a disk could not be made longer.
    #[error("make the disk's file longer")]
    Grow {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More entries than any image has.
    #[error("the archive has more than {0} entries")]
    TooMany(u64),
    /// What came would become more than it may.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// A file that shall be an image is none.
    #[error("take {} as an image", .path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// A layer of an image cannot be read.
    #[error("read `{entry}` of the layer {}", .layer.display())]
    ReadLayer {
        /// Its file.
        layer: PathBuf,
        /// Which entry; the root's name is empty.
        entry: String,
        /// Why.
        #[source]
        source: banger_ext4::Error,
    },
    /// A layer was written by an overlay with other options than ours.
    #[error("`{entry}` of the layer {} is elsewhere: its overlay was mounted with redirects or metadata copies", .layer.display())]
    Redirected {
        /// The layer's file.
        layer: PathBuf,
        /// Which entry.
        entry: String,
    },
    /// A name that means something else in a layer.
    #[error("`{0}` cannot be exported: in a layer such a name says that something is gone")]
    Mark(String),
    /// An archive could not be written.
    #[error("write the archive")]
    Export {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that would be replaced.
    #[error("{} exists already", .0.display())]
    FileExists(PathBuf),
    /// Something else has the name of the file that is to be written.
    #[error("{} is a link, a device or something else that is no file", .0.display())]
    NoFile(PathBuf),
    /// A disk whose file system was not unmounted.
    #[error("the VM's disk was not unmounted when it ended")]
    NotAtRest,
    /// An image could not be pulled.
    #[error(transparent)]
    Pull(Box<banger_oci::Error>),
    /// A layer could not be unpacked.
    #[error("unpack layer {number} of {of} ({digest})")]
    Layer {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Its digest.
        digest: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// An archive unpacks to more than it may.
    #[error("the image unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// A whiteout without a name.
    #[error("the layer has the whiteout `{0}`, which names nothing")]
    Whiteout(String),
    /// The caller does not want it any more.
    #[error("the import was cancelled")]
    Cancelled,
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
    #[error("lies behind symbolic links that lead nowhere")]
    Lost,
    /// A link without a target.
    #[error("is a link without a target")]
    NoTarget,
    /// A field of its header is not what the format says.
    #[error("has a damaged header: {0}")]
    Header(String),
    /// A kind of entry that no image holds.
    #[error("is of kind `{0}`, which cannot be in an image")]
    Kind(String),
}

impl From<banger_store::Error> for Error {
    /// A reader that was cut short for its budget says so by the error of its file.
    fn from(error: banger_store::Error) -> Self {
        match error.of_file().and_then(exceeded) {
            Some(exceeded) => exceeded.into(),
            None => Self::Store(error),
        }
    }
}

impl From<banger_archive::Error> for Error {
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

impl From<banger_oci::Error> for Error {
    fn from(error: banger_oci::Error) -> Self {
        Self::Pull(Box::new(error))
    }
}

impl Error {
    /// An archive that cannot be read on, or not any further.
    pub(crate) fn archive(entries: u64, source: std::io::Error) -> Self {
        match exceeded(&source) {
            Some(exceeded) => exceeded.into(),
            None => Self::Archive { entries, source },
        }
    }

    /// The kind of failure, and what to do next.
    fn told(&self) -> (ErrorCode, Vec<String>) {
        let (code, hint) = match self {
            Self::Store(error) => return (error.code(), error.hints()),
            Self::Pull(error) => return (error.code(), error.hints()),
            Self::Layer { source, .. } => return source.told(),
            Self::TooLarge(_) => (
                ErrorCode::BadInput,
                "raise `max_size` below `[pull]` in the configuration if it is meant",
            ),
            Self::Exceeded(exceeded) => return (exceeded.code(), exceeded.hints()),
            Self::NoGeneration(_) => (
                ErrorCode::NotFound,
                "was the store moved without them? Pull or import the image again, and make the VM anew",
            ),
            Self::Archive { .. } | Self::Truncated { .. } => (
                ErrorCode::BadInput,
                "make the archive again; if it came through a pipe, look at what its maker said",
            ),
            Self::Empty => (ErrorCode::BadInput, "was its maker given anything to pack?"),
            Self::Entry {
                fault: EntryFault::Absolute,
                ..
            } => (
                ErrorCode::BadInput,
                "pack it with relative paths: `tar -C DIR -c .`",
            ),
            Self::TooMany(_) => (
                ErrorCode::BadInput,
                "raise `max_entries` below `[pull]` in the configuration if it is meant",
            ),
            Self::NoImage { .. } => (
                ErrorCode::BadInput,
                "`image register` takes ext4; a tar or directory goes to `image import`",
            ),
            Self::Redirected { .. } => (
                ErrorCode::BadInput,
                "make the VM again with this version of banger, whose guests keep what they move whole",
            ),
            Self::Entry { .. }
            | Self::Write { .. }
            | Self::ReadLayer { .. }
            | Self::Mark(_)
            | Self::Whiteout(_) => return (ErrorCode::BadInput, Vec::new()),
            Self::FileExists(_) => (
                ErrorCode::AlreadyExists,
                "choose another file, or replace it with `--force`",
            ),
            Self::NoFile(_) => (
                ErrorCode::AlreadyExists,
                "name a file, or `-o -` for standard output",
            ),
            Self::Image { .. } | Self::Grow { .. } | Self::Export { .. } => {
                return (ErrorCode::Host, Vec::new());
            }
            Self::NotAtRest => (ErrorCode::WrongPhase, "start it, and commit it while it runs"),
            Self::Cancelled => return (ErrorCode::Cancelled, Vec::new()),
        };
        (code, vec![hint.to_owned()])
    }
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        self.told().0
    }

    fn hints(&self) -> Vec<String> {
        self.told().1
    }
}
