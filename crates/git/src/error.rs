//! Why git did not do its work, or was not asked to.

use std::io;
use std::path::{Path, PathBuf};

use banger_model::{Describe, Description, ErrorCode, shell_word};

/// A repository could not be used, or git failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no git, it could not be run, met a limit, or was cancelled.
    #[error("failed to run git")]
    Child(#[source] banger_confined::Error),
    /// There is no git.
    #[error("git is not installed")]
    NoGit,
    /// `git` failed, in its own words.
    #[error("git failed to {what}: {words}")]
    Failed {
        /// What it was to do.
        what: &'static str,
        /// Its words.
        words: String,
    },
    /// What git printed is not what it documents.
    #[error("failed to parse git's output in the attempt to {what}")]
    Answer {
        /// What it was asked.
        what: &'static str,
    },
    /// The path is no directory.
    #[error("failed to enter {}", .path.display())]
    Enter {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path is in no repository.
    #[error("{} is not in a git repository", .0.display())]
    NoRepository(PathBuf),
    /// A link, or what is neither file nor directory, where git would follow or wait.
    #[error("{} is {kind}: it could lead git to files outside of the repository", .path.display())]
    Odd {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: String,
    },
    /// A pipe or device in the work tree that has a name of git's.
    #[error("{} is {kind}: git would wait for it forever", .path.display())]
    Waits {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A `.git` file names a directory that does not record the work tree.
    #[error("{} names the git directory {}, which does not record this work tree", .file.display(), .target.display())]
    Elsewhere {
        /// The file.
        file: PathBuf,
        /// What it names.
        target: PathBuf,
        /// Whether the directory is one of `git worktree`.
        linked: bool,
    },
    /// Objects of another repository, which does not record it.
    #[error("the repository at {} borrows objects of {}, which does not record that", .repository.display(), .lender.display())]
    Borrowed {
        /// The repository.
        repository: PathBuf,
        /// The directory of objects.
        lender: PathBuf,
    },
    /// Someone else owns it.
    #[error("{} belongs to another user", .0.display())]
    Owner(PathBuf),
    /// A file could not be read or made.
    #[error("failed to {what} {}", .path.display())]
    File {
        /// What failed.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any such file.
    #[error("{} is larger than {most} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that are read.
        most: u64,
    },
}

impl Error {
    pub(crate) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::File { what, path, source }
    }
}

impl Describe for Error {
    fn describe(&self) -> Description {
        let shown = |path: &Path| shell_word(&path.to_string_lossy());
        let unfit = |hint: String| Description::hinted(ErrorCode::InvalidRequest, hint);
        match self {
            Self::Child(error) => error.describe(),
            Self::NoGit => Description::hinted(ErrorCode::Host, "install git: `apt-get install git`"),
            Self::File { .. } => ErrorCode::Host.into(),
            // git runs; what it was given is what it does not take.
            Self::Failed { .. } | Self::Answer { .. } | Self::TooLarge { .. } => ErrorCode::BadInput.into(),
            Self::Enter { .. } => ErrorCode::InvalidRequest.into(),
            Self::NoRepository(_) => unfit("run `git init` there, or specify the path of a repository".to_owned()),
            Self::Odd { .. } => unfit(
                "if you made the repository yourself, `git clone` it to another directory and use that; else do not trust it"
                    .to_owned(),
            ),
            Self::Waits { path, .. } => unfit(format!(
                "git reads a file of this name; if you do not need it: `rm {}`",
                shown(path)
            )),
            Self::Elsewhere { linked: true, .. } => unfit(
                "if you moved the work tree, run `git worktree repair` in it; else do not trust it".to_owned(),
            ),
            Self::Elsewhere { file, target, .. } => unfit(format!(
                "if the directory is yours, record the work tree in it: `git config -f {} core.worktree {}`",
                shown(&target.join("config")),
                shown(file.parent().unwrap_or(file))
            )),
            Self::Borrowed { repository, lender } => unfit(format!(
                "if you made it with `git clone --shared` or `--reference`, record it: `git config -f {} --add \
                 banger.borrower {}`, or copy the objects: `git -C {} repack -a -d` and remove objects/info/alternates",
                shown(&lender.parent().unwrap_or(lender).join("config")),
                shown(repository),
                shown(repository)
            )),
            Self::Owner(path) => unfit(format!(
                "if you trust it, `git config --global --add safe.directory {}`",
                shown(path)
            )),
        }
    }
}
