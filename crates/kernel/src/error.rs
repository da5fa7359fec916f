//! Why a kernel could not be had.

use std::path::PathBuf;

use banger_bounded::{Exceeded, exceeded};
use banger_model::{Describe, Description, ErrorCode};

/// A failure of the kernel store or of an import.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, records and names of the store.
    #[error(transparent)]
    Store(banger_store::Error),
    /// What came would become more than it may.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// What is in a package cannot be read.
    #[error(transparent)]
    Archive(banger_archive::Error),
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
    #[error("failed to read the package {}: {fault}", .path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A program of the package manager failed.
    #[error("{program} failed to {what}: {words}")]
    Program {
        /// The program.
        program: &'static str,
        /// What it was asked for.
        what: String,
        /// Its words.
        words: String,
    },
    /// The host's kernel is not where kernels are.
    #[error("failed to find the running kernel: there is no {}", .0.display())]
    NoHostKernel(PathBuf),
    /// No file was named.
    #[error("no kernel file was specified: use `--vmlinux` or `--vmlinuz`")]
    NoKernelFile,
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Store(error) => error.describe(),
            Self::Exceeded(exceeded) => exceeded.describe(),
            Self::Archive(banger_archive::Error::Entry { .. })
            | Self::NoKernel { .. }
            | Self::Package { .. } => ErrorCode::BadInput.into(),
            Self::Archive(_) => Description::hinted(
                ErrorCode::BadInput,
                "download the package again: this file is damaged",
            ),
            Self::NoKernelFile => ErrorCode::InvalidRequest.into(),
            Self::Lacks { .. } => Description::hinted(
                ErrorCode::Unsupported,
                "use a kernel that has these options: `banger kernel import debian --package linux-image-cloud-amd64`",
            ),
            Self::NoModule { .. } => Description::hinted(
                ErrorCode::Unsupported,
                "specify the modules with `--modules /lib/modules/VERSION`",
            ),
            Self::Program { program, .. } if program.starts_with("apt") => Description::hinted(
                ErrorCode::Host,
                "refresh the package lists: `sudo apt-get update`",
            ),
            Self::Program { .. } => ErrorCode::Host.into(),
            Self::NoHostKernel(_) => Description::hinted(
                ErrorCode::Host,
                "import a package instead: `banger kernel import debian --package linux-image-cloud-amd64`",
            ),
        }
    }
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
    /// And so by that of its archive.
    fn from(error: banger_archive::Error) -> Self {
        match &error {
            banger_archive::Error::Archive { source, .. } => match exceeded(source) {
                Some(exceeded) => exceeded.into(),
                None => Self::Archive(error),
            },
            _ => Self::Archive(error),
        }
    }
}
