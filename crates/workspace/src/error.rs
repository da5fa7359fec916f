//! What can go wrong with a workspace, and what to do about it.

use std::path::{Path, PathBuf};

use banger_model::{Describe, Description, ErrorCode, shell_word};

use crate::guest_error::GuestError;
use crate::source_error::SourceError;

/// A workspace could not be planned, placed or brought back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guest did not do its part.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The repository on the host has not what is needed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The repository on the host cannot be used, or git failed there.
    #[error(transparent)]
    Repository(#[from] banger_git::Error),
    /// No descriptor is left for the work.
    #[error("failed to create an event")]
    Event(#[source] std::io::Error),
    /// A file or directory could not be read or made.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The guest has something else there.
    #[error("{0} in the guest is not empty and is not a workspace")]
    Foreign(String),
    /// The guest changed what the host changed too.
    #[error("the guest changed files that would be overwritten: {}", some(.paths))]
    Conflicts {
        /// The VM.
        vm: String,
        /// The workspace.
        path: String,
        /// Which.
        paths: Vec<String>,
    },
    /// What came back and what is here cannot be merged.
    #[error("nothing was applied: {} cannot be merged", some(.paths))]
    ApplyConflicts {
        /// Which.
        paths: Vec<String>,
        /// What shows the conflicts.
        merge: String,
    },
    /// A tree that names more than is written.
    #[error("{files} files with {bytes} bytes would be written, more than {most} bytes")]
    TooLarge {
        /// How many files.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// The most bytes.
        most: u64,
    },
    /// The file system would be full.
    #[error(transparent)]
    NoRoom(banger_hostfs::Error),
    /// No work of the VM is here.
    #[error("nothing was pulled from VM `{vm}`")]
    NothingPulled {
        /// The VM.
        vm: String,
        /// The workspace.
        path: String,
    },
    /// Someone else is at it.
    #[error("{0} is in use by another prepare or pull")]
    Busy(String),
    /// The VM has no workspace, or none there.
    #[error("VM `{vm}` has no workspace{}", .path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default())]
    NoWorkspace {
        /// The VM.
        vm: String,
        /// Where, if that was said.
        path: Option<String>,
    },
    /// The VM has several.
    #[error("VM `{vm}` has several workspaces: {}", .paths.join(", "))]
    Several {
        /// The VM.
        vm: String,
        /// Which.
        paths: Vec<String>,
    },
    /// No random bytes.
    #[error("failed to get random bytes from the system")]
    Random(#[source] std::io::Error),
    /// A thread of blocking work panicked.
    #[error("{0} panicked (a bug in banger: see the daemon's log)")]
    Defect(&'static str),
}

impl Error {
    /// A failure to do `what` with a file.
    pub(crate) fn file(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::File { what, path, source }
    }

    /// What the host's file system refused.
    pub(crate) fn hosted(error: banger_hostfs::Error) -> Self {
        match error {
            banger_hostfs::Error::NoRoom { .. } => Self::NoRoom(error),
            error => Self::Repository(error.into()),
        }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Guest(error) => error.describe(),
            Self::Source(error) => error.describe(),
            Self::Repository(error) => error.describe(),
            Self::Event(_) | Self::File { .. } | Self::Random(_) => ErrorCode::Host.into(),
            Self::Defect(_) => ErrorCode::Internal.into(),
            Self::Busy(_) => ErrorCode::InUse.into(),
            Self::NoRoom(_) => Description::hinted(
                ErrorCode::Host,
                "free disk space: `banger system df` shows what banger can free",
            ),
            Self::TooLarge { .. } => Description::hinted(
                ErrorCode::BadInput,
                "nothing was written; `git ls-tree -r -l COMMIT` lists the sizes, and `git checkout COMMIT -- PATH` takes a part",
            ),
            Self::Foreign(_) => Description::hinted(
                ErrorCode::InUse,
                "specify another directory with `--guest-path DIR`, or empty this one in the guest",
            ),
            Self::Conflicts { vm, path, .. } => Description::hinted(
                ErrorCode::InUse,
                format!(
                    "pull the guest's work first (`banger vm workspace pull {vm} {}`), or overwrite it with `--force`",
                    shell_word(path)
                ),
            ),
            Self::ApplyConflicts { merge, .. } => Description::hinted(
                ErrorCode::InUse,
                format!(
                    "no file was changed; commit or stash yours (`git stash -u`), and then `{merge}` shows the conflicts"
                ),
            ),
            Self::NothingPulled { vm, path } => Description::hinted(
                ErrorCode::NotFound,
                format!(
                    "pull the work first: `banger vm workspace pull {vm} {}`",
                    shell_word(path)
                ),
            ),
            Self::NoWorkspace { vm, path: None } => Description::hinted(
                ErrorCode::NotFound,
                format!("create one with `banger vm workspace prepare {vm}`"),
            ),
            Self::NoWorkspace { vm, path: Some(path) } => Description::hinted(
                ErrorCode::NotFound,
                format!(
                    "create one with `banger vm workspace prepare {vm} --guest-path {}`",
                    shell_word(path)
                ),
            ),
            Self::Several { .. } => {
                Description::hinted(ErrorCode::InvalidRequest, "specify one of them after the VM")
            }
        }
    }
}

/// The first of many.
fn some(paths: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = paths.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > MOST {
        text.push_str(&format!(" and {} more", paths.len() - MOST));
    }
    text
}
