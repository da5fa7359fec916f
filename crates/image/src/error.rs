//! Why an image or a kernel could not be had.

use std::path::PathBuf;

use banger_model::ErrorCode;

use crate::budget::{Exceeded, exceeded};

/// A failure of a store or an import.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has this name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        present: Vec<String>,
    },
    /// The files of an image are gone.
    #[error("the image's files (generation {0}) are not in the store")]
    NoGeneration(String),
    /// The name is taken.
    #[error("{kind} `{name}` exists already")]
    Exists {
        /// `image` or `kernel`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A file or directory.
    #[error("{what} {}", .path.display())]
    File {
        /// What was done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A record of the store is not readable.
    #[error("understand the record {}", .path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
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
    /// A relative path, which would mean another file for another process.
    #[error("`{}` is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// A file is not a kernel that can be booted.
    #[error("{} is not a kernel: {fault}", .path.display())]
    NoKernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The kernel lacks what banger needs.
    #[error("the kernel lacks {}", .missing.join(", "))]
    Lacks {
        /// Its configuration options, with why each is needed.
        missing: Vec<String>,
    },
    /// The kernel has an option as a module, and the module is not there.
    #[error("the kernel has {option} as module `{module}`, which is not among its modules")]
    NoModule {
        /// The option.
        option: &'static str,
        /// The module.
        module: String,
    },
    /// A package is not what it should be.
    #[error("read the package {}: {fault}", .path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A program of the package manager failed.
    #[error("{program} could not {what}: {words}")]
    Program {
        /// The program.
        program: &'static str,
        /// What it was asked for.
        what: String,
        /// Its words.
        words: String,
    },
    /// The host's kernel is not where kernels are.
    #[error("find the running kernel: there is no {}", .0.display())]
    NoHostKernel(PathBuf),
    /// No file was named.
    #[error("name a kernel: `--vmlinux` or `--vmlinuz`")]
    NoKernelFile,
    /// A disk whose file system was not unmounted.
    #[error("the VM's disk was not unmounted when it ended")]
    NotAtRest,
    /// An image could not be pulled.
    #[error(transparent)]
    Pull(Box<crate::oci::Error>),
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

impl From<crate::oci::Error> for Error {
    fn from(error: crate::oci::Error) -> Self {
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

    /// The kind of failure.
    pub fn kind(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } | Self::NoGeneration(_) => ErrorCode::NotFound,
            Self::Exists { .. } | Self::FileExists(_) | Self::NoFile(_) => ErrorCode::AlreadyExists,
            Self::File { .. }
            | Self::Record { .. }
            | Self::Image { .. }
            | Self::Grow { .. }
            | Self::Export { .. } => ErrorCode::Host,
            Self::Archive { .. }
            | Self::Truncated { .. }
            | Self::Empty
            | Self::Entry { .. }
            | Self::Write { .. }
            | Self::TooMany(_)
            | Self::Exceeded(_)
            | Self::NoImage { .. }
            | Self::ReadLayer { .. }
            | Self::Redirected { .. }
            | Self::Mark(_)
            | Self::NoKernel { .. }
            | Self::Package { .. } => ErrorCode::BadInput,
            Self::Relative(_) | Self::NoKernelFile => ErrorCode::InvalidRequest,
            Self::Lacks { .. } | Self::NoModule { .. } => ErrorCode::Unsupported,
            Self::NotAtRest => ErrorCode::WrongPhase,
            Self::Program { .. } | Self::NoHostKernel(_) => ErrorCode::Host,
            Self::Pull(error) => error.kind(),
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotFound { kind, present, .. } if present.is_empty() => {
                format!("there is none yet: `banger {kind} import --help` tells how to get one")
            }
            Self::NotFound { present, .. } => format!("there are: {}", present.join(", ")),
            Self::NoGeneration(_) => {
                "was the store moved without them? Pull or import the image again, and make the VM anew".to_owned()
            }
            Self::Exists { .. } => "choose another name, or replace it with `--force`".to_owned(),
            Self::Truncated { .. } | Self::Archive { .. } => {
                "make the archive again; if it came through a pipe, look at what its maker said".to_owned()
            }
            Self::Empty => "was its maker given anything to pack?".to_owned(),
            Self::Entry {
                fault: EntryFault::Absolute,
                ..
            } => "pack it with relative paths: `tar -C DIR -c .`".to_owned(),
            Self::NoImage { .. } => "`image register` takes ext4; a tar or directory goes to `image import`".to_owned(),
            Self::Lacks { .. } => {
                "take a kernel with these, such as `banger kernel import debian --package linux-image-cloud-amd64`"
                    .to_owned()
            }
            Self::NoModule { .. } => "name its modules with `--modules /lib/modules/VERSION`".to_owned(),
            Self::Program { program, .. } if program.starts_with("apt") => {
                "refresh the package lists: `sudo apt-get update`".to_owned()
            }
            Self::NoHostKernel(_) => {
                "import a package instead: `banger kernel import debian --package linux-image-cloud-amd64`".to_owned()
            }
            Self::Pull(error) => return error.hints(),
            Self::Exceeded(exceeded) => return exceeded.hint().into_iter().collect(),
            Self::TooMany(_) => "raise `max_entries` below `[pull]` in the configuration if it is meant".to_owned(),
            Self::NoFile(_) => "name a file, or `-o -` for standard output".to_owned(),
            Self::FileExists(_) => "choose another file, or replace it with `--force`".to_owned(),
            Self::Redirected { .. } => "make the VM again with this version of banger, whose guests keep what they move whole".to_owned(),
            Self::Relative(_) => {
                "give the whole path, or with a pull the `directory` that it begins at".to_owned()
            }
            Self::NotAtRest => "start it, and commit it while it runs".to_owned(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
