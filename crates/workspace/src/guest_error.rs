//! What can go wrong with a guest's part in a workspace.

use banger_model::{Describe, Description, ErrorCode};

/// A guest did not do its part, or not as it should.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The guest refused or went away.
    #[error("failed to {what} {path} in the guest")]
    Agent {
        /// What was to be done.
        what: &'static str,
        /// The workspace.
        path: String,
        /// Why.
        #[source]
        source: Box<banger_guest_link::Error>,
    },
    /// The stream of a command in the guest broke.
    #[error("failed to read the output of git in the guest")]
    Stream(#[source] std::io::Error),
    /// There is no git in the guest.
    #[error("git is not installed in the guest: cannot {what}")]
    NoGit {
        /// What was to be done.
        what: &'static str,
    },
    /// The guest's repository is no repository any more.
    #[error("{0} in the guest is no longer a git repository")]
    Lost(String),
    /// The guest's git failed, in its own words.
    #[error("git in the guest failed to {what}: {words}")]
    Git {
        /// What was to be done.
        what: &'static str,
        /// The words.
        words: String,
    },
    /// The guest's git could not read all files, so that a part would look like the whole.
    #[error("git in the guest could not read all files of the workspace: cannot {what}{}", after(.words))]
    Partial {
        /// What was to be done.
        what: &'static str,
        /// The words of git.
        words: String,
    },
    /// What came from the guest is not what was asked for.
    #[error("failed to parse the guest's answer to the request to {what}")]
    Answer {
        /// What was to be done.
        what: &'static str,
    },
    /// The guest sent more than it may.
    #[error("the guest's answer to the request to {what} is larger than {most} bytes")]
    TooMuch {
        /// What was to be done.
        what: &'static str,
        /// The most bytes.
        most: u64,
    },
    /// What came is no sound part of a repository.
    #[error("the data from the guest is invalid: {0}")]
    Unsound(String),
}

impl Describe for GuestError {
    fn describe(&self) -> Description {
        match self {
            Self::Agent { source, .. } => source.describe(),
            Self::NoGit { .. } => Description::hinted(
                ErrorCode::Guest,
                "install git in the guest, or use an image that has git; `vm exec` can read the files without git",
            ),
            Self::Lost(_) | Self::Unsound(_) => Description::hinted(
                ErrorCode::Guest,
                "nothing was changed on this host; run `git fsck` in the guest to find the damage",
            ),
            Self::Partial { .. } => Description::hinted(
                ErrorCode::Guest,
                "`git add --all --dry-run` in the guest shows why; `vm workspace pull` brings the files that can be read, `vm cp` the others",
            ),
            Self::Stream(_) | Self::Git { .. } | Self::Answer { .. } | Self::TooMuch { .. } => {
                ErrorCode::Guest.into()
            }
        }
    }
}

/// Words behind a colon, if there are any.
fn after(words: &str) -> String {
    match words.is_empty() {
        true => String::new(),
        false => format!(": {words}"),
    }
}
