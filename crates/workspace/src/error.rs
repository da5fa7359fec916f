//! What can go wrong with a workspace, and what to do about it.

use std::path::{Path, PathBuf};

use banger_model::{Describe, ErrorCode, shell_word};

/// A workspace could not be planned, placed or brought back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository on the host cannot be used, or git failed there.
    #[error(transparent)]
    Repository(#[from] banger_git::Error),
    /// No descriptor is left for the work.
    #[error("failed to make an event")]
    Event(#[source] std::io::Error),
    /// A name of no commit.
    #[error("`{0}` names no commit")]
    NoCommit(String),
    /// Objects of a partial clone that were never fetched.
    #[error("{} is a partial clone, and objects of {commit} are not in it", .root.display())]
    Partial {
        /// The repository.
        root: PathBuf,
        /// Of which commit.
        commit: String,
        /// Why.
        #[source]
        source: banger_git::Error,
    },
    /// A name that git does not take for a branch.
    #[error("`{0}` is no name for a branch")]
    BranchName(String),
    /// A file or directory could not be read or made.
    #[error("{what} {}", .path.display())]
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
    #[error("{0} in the guest is not empty, and is no workspace")]
    Foreign(String),
    /// The guest changed what the host changed too.
    #[error("the guest has changed what would be written: {}", some(.paths))]
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
    /// No work of the VM is here.
    #[error("nothing was pulled from VM `{vm}`")]
    NothingPulled {
        /// The VM.
        vm: String,
        /// The workspace.
        path: String,
    },
    /// Someone else is at it.
    #[error("{0} is being placed or brought back by someone else")]
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
    /// The guest refused or went away.
    #[error("{what} {path} in the guest")]
    Guest {
        /// What was to be done.
        what: &'static str,
        /// The workspace.
        path: String,
        /// Why.
        #[source]
        source: Box<banger_guest_link::Error>,
    },
    /// The stream of a command in the guest broke.
    #[error("hear from git in the guest")]
    Stream(#[source] std::io::Error),
    /// There is no git in the guest.
    #[error("there is no git in the guest to {what}")]
    NoGuestGit {
        /// What was to be done.
        what: &'static str,
    },
    /// The guest's repository is no repository any more.
    #[error("{0} in the guest is no git repository any more")]
    Lost(String),
    /// The guest's git failed, in its own words.
    #[error("git in the guest could not {what}: {words}")]
    GuestGit {
        /// What was to be done.
        what: &'static str,
        /// The words.
        words: String,
    },
    /// What came from the guest is not what was asked for.
    #[error("understand what the guest sent when asked to {what}")]
    GuestAnswer {
        /// What was to be done.
        what: &'static str,
    },
    /// The guest sent more than it may.
    #[error("the guest sent more than {most} bytes when asked to {what}")]
    TooMuch {
        /// What was to be done.
        what: &'static str,
        /// The most bytes.
        most: u64,
    },
    /// What came is no sound part of a repository.
    #[error("what the guest sent is not sound: {0}")]
    Unsound(String),
    /// The repository is elsewhere now.
    #[error("the repository that went into the guest is no longer at {}", .0.display())]
    Moved(PathBuf),
    /// No random bytes.
    #[error("get random bytes from the system")]
    Random(#[source] std::io::Error),
    /// The guest dropped more than is kept.
    #[error("{prefix} has more than {most} references to commits that the guest dropped")]
    TooManyKept {
        /// Where they are.
        prefix: String,
        /// How many are kept.
        most: usize,
    },
    /// The commit that both sides have in common is gone on this one.
    #[error("the commit {0} that went into the VM is no longer in the repository")]
    BaseGone(String),
    /// A thread of blocking work panicked.
    #[error("{0} panicked (a defect of banger: see the daemon's log)")]
    Defect(&'static str),
}

impl Error {
    /// A failure to do `what` with a file.
    pub(crate) fn file(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::File { what, path, source }
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

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Repository(error) => error.code(),
            Self::NoCommit(_) | Self::Partial { .. } | Self::BranchName(_) | Self::Several { .. } => {
                ErrorCode::InvalidRequest
            }
            Self::Event(_) | Self::File { .. } | Self::Moved(_) | Self::BaseGone(_) => ErrorCode::Host,
            Self::Foreign(_)
            | Self::Conflicts { .. }
            | Self::ApplyConflicts { .. }
            | Self::Busy(_)
            | Self::TooManyKept { .. } => ErrorCode::InUse,
            Self::NoWorkspace { .. } | Self::NothingPulled { .. } => ErrorCode::NotFound,
            Self::Guest { source, .. } => source.code(),
            Self::Stream(_)
            | Self::NoGuestGit { .. }
            | Self::Lost(_)
            | Self::GuestGit { .. }
            | Self::GuestAnswer { .. }
            | Self::TooMuch { .. }
            | Self::Unsound(_) => ErrorCode::Guest,
            Self::Random(_) => ErrorCode::Host,
            Self::Defect(_) => ErrorCode::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Repository(error) => return error.hints(),
            Self::NoCommit(_) => "`git log --all --oneline` lists the commits there are",
            Self::Partial { root, commit, .. } => {
                return vec![format!(
                    "fetch them: `git -C {} archive -o /dev/null {commit}`; git is given no network here",
                    shell_word(&root.to_string_lossy())
                )];
            }
            Self::Foreign(_) => "name another directory: `--guest-path DIR`, or empty this one in the guest",
            Self::Conflicts { vm, path, .. } => {
                let path = shell_word(path);
                return vec![format!(
                    "bring the guest's work back first (`banger vm workspace pull {vm} {path}`), or write over it with `--force`"
                )];
            }
            Self::NoWorkspace { vm, path: None } => {
                return vec![format!("`banger vm workspace prepare {vm}` places one")];
            }
            Self::NoWorkspace { vm, path: Some(path) } => {
                let path = shell_word(path);
                return vec![format!(
                    "`banger vm workspace prepare {vm} --guest-path {path}` places one"
                )];
            }
            Self::NothingPulled { vm, path } => {
                let path = shell_word(path);
                return vec![format!(
                    "bring it here first: `banger vm workspace pull {vm} {path}`"
                )];
            }
            Self::ApplyConflicts { merge, .. } => {
                return vec![format!(
                    "no file was changed; commit or stash yours (`git stash -u`), and then `{merge}` shows the conflicts"
                )];
            }
            Self::Several { .. } => "name one of them after the VM",
            Self::NoGuestGit { .. } => {
                "install git in the guest, or use an image that has it; `vm exec` gets at the files without it"
            }
            Self::Lost(_) | Self::Unsound(_) => {
                "nothing changed on this host; `git fsck` in the guest shows what is wrong"
            }
            Self::BaseGone(_) => "fetch it again, or take the changes alone with `vm workspace export`",
            Self::TooManyKept { prefix, .. } => {
                return vec![format!(
                    "when you need none of them: `git for-each-ref --format='delete %(refname)' {prefix} | git update-ref --stdin`"
                )];
            }
            Self::Guest { source, .. } => return source.hints(),
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
