//! What can go wrong with a guest's part in a workspace.

use banger_model::{Describe, ErrorCode};

/// A guest did not do its part, or not as it should.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The guest refused or went away.
    #[error("{what} {path} in the guest")]
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
    #[error("hear from git in the guest")]
    Stream(#[source] std::io::Error),
    /// There is no git in the guest.
    #[error("there is no git in the guest to {what}")]
    NoGit {
        /// What was to be done.
        what: &'static str,
    },
    /// The guest's repository is no repository any more.
    #[error("{0} in the guest is no git repository any more")]
    Lost(String),
    /// The guest's git failed, in its own words.
    #[error("git in the guest could not {what}: {words}")]
    Git {
        /// What was to be done.
        what: &'static str,
        /// The words.
        words: String,
    },
    /// What came from the guest is not what was asked for.
    #[error("understand what the guest sent when asked to {what}")]
    Answer {
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
}

impl GuestError {
    /// Its kind, and what to do about it.
    fn described(&self) -> (ErrorCode, Vec<String>) {
        let hint = match self {
            Self::Agent { source, .. } => return (source.code(), source.hints()),
            Self::NoGit { .. } => {
                "install git in the guest, or use an image that has it; `vm exec` gets at the files without it"
            }
            Self::Lost(_) | Self::Unsound(_) => {
                "nothing changed on this host; `git fsck` in the guest shows what is wrong"
            }
            Self::Stream(_) | Self::Git { .. } | Self::Answer { .. } | Self::TooMuch { .. } => {
                return (ErrorCode::Guest, Vec::new());
            }
        };
        (ErrorCode::Guest, vec![hint.to_owned()])
    }
}

impl Describe for GuestError {
    fn code(&self) -> ErrorCode {
        self.described().0
    }

    fn hints(&self) -> Vec<String> {
        self.described().1
    }
}
