//! What can be wrong with the repository on the host.

use std::path::PathBuf;

use banger_model::{Describe, Description, ErrorCode, shell_word};

/// A repository on the host has not what is needed, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A name of no commit.
    #[error("`{0}` is not a commit")]
    NoCommit(String),
    /// Objects of a partial clone that were never fetched.
    #[error("{} is a partial clone that lacks objects of {commit}", .root.display())]
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
    #[error("invalid branch name `{0}`")]
    BranchName(String),
    /// The repository is elsewhere now.
    #[error("the repository that was placed in the guest is no longer at {}", .0.display())]
    Moved(PathBuf),
    /// The commit that both sides have in common is gone on this one.
    #[error("the commit {0} that was placed in the VM is no longer in the repository")]
    BaseGone(String),
    /// The guest dropped more than is kept.
    #[error("{prefix} has more than {most} references to commits that the guest dropped")]
    TooManyKept {
        /// Where they are.
        prefix: String,
        /// How many are kept.
        most: usize,
    },
}

impl Describe for SourceError {
    fn describe(&self) -> Description {
        match self {
            Self::NoCommit(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "`git log --all --oneline` lists the commits",
            ),
            Self::Partial { root, commit, .. } => Description::hinted(
                ErrorCode::InvalidRequest,
                format!(
                    "fetch them: `git -C {} archive -o /dev/null {commit}`; banger runs git without network",
                    shell_word(&root.to_string_lossy())
                ),
            ),
            Self::BranchName(_) => ErrorCode::InvalidRequest.into(),
            Self::Moved(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "move the repository back there, or export the changes with `vm workspace export`",
            ),
            Self::BaseGone(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "fetch the commit again, or export only the changes with `vm workspace export`",
            ),
            Self::TooManyKept { prefix, .. } => Description::hinted(
                ErrorCode::InUse,
                format!(
                    "if you need none of them: `git for-each-ref --format='delete %(refname)' {prefix} | git update-ref --stdin`"
                ),
            ),
        }
    }
}
