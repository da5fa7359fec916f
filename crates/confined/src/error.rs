//! Why a confined child did not do its work.

use std::io;
use std::time::Duration;

use banger_model::{ByteSize, Describe, Description, ErrorCode};

/// A limit that a child met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Memory.
    #[error("{} of memory", ByteSize::bytes(*.0))]
    Memory(u64),
    /// Processor time.
    #[error("{} s of processor time", .0.as_secs())]
    Cpu(Duration),
    /// Time by the clock.
    #[error("{} s", .0.as_secs_f64())]
    Time(Duration),
    /// What it printed.
    #[error("{} of output", ByteSize::bytes(*.0))]
    Output(u64),
}

/// A confined child failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("{what}: failed to start the process")]
    Spawn {
        /// What was run.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be heard.
    #[error("{what}: failed to read the output")]
    Read {
        /// What was run.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be waited for.
    #[error("{what}: failed to wait for the process")]
    Wait {
        /// What was run.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It said what nobody understands.
    #[error("{what}: invalid output (a bug in banger: see the daemon's log)")]
    Answer {
        /// What was run.
        what: &'static str,
    },
    /// Its input asked for more than it may have.
    #[error("{what}: the process was ended because its input needs more than {limit}")]
    Limit {
        /// What was run.
        what: &'static str,
        /// The limit.
        limit: Limit,
    },
    /// It was slow, and a look showed that it waits for what never comes.
    #[error("{what}: the process was ended because it was blocked")]
    InVain {
        /// What was run.
        what: &'static str,
    },
    /// Nobody waits for it any more.
    #[error("{what}: cancelled")]
    Cancelled {
        /// What was run.
        what: &'static str,
    },
    /// It said no.
    #[error("{what} failed with {status}: {words}")]
    Failed {
        /// What was run.
        what: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it printed on standard error.
        words: String,
    },
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Limit { .. } => Description::hinted(
                ErrorCode::BadInput,
                "input of this size should not need that much; it may have been crafted to exhaust this host",
            ),
            Self::Failed { .. } => ErrorCode::BadInput.into(),
            Self::Answer { .. } => ErrorCode::Internal.into(),
            Self::Spawn { .. }
            | Self::Read { .. }
            | Self::Wait { .. }
            | Self::InVain { .. }
            | Self::Cancelled { .. } => ErrorCode::Host.into(),
        }
    }
}
