//! Why a confined child did not do its work.

use std::io;
use std::time::Duration;

use banger_model::{ByteSize, ErrorCode};

use crate::error::Describe;

/// A limit that a child met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Limit {
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
pub(crate) enum Error {
    /// It could not be started.
    #[error("start {what}")]
    Spawn {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// It could not be heard.
    #[error("read what {what} prints")]
    Read {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// It could not be waited for.
    #[error("wait for {what}")]
    Wait {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// Its input asked for more than it may have.
    #[error("{what} was ended: its input needs more than {limit}")]
    Limit { what: &'static str, limit: Limit },
    /// It said no.
    #[error("{what} failed with {status}: {words}")]
    Failed {
        what: &'static str,
        status: String,
        /// The end of what it printed on standard error.
        words: String,
    },
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Limit { .. } | Self::Failed { .. } => ErrorCode::BadInput,
            Self::Spawn { .. } | Self::Read { .. } | Self::Wait { .. } => ErrorCode::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Limit { .. } => vec![
                "input that small has no reason to need that much; it may have been made to exhaust this host".to_owned(),
            ],
            _ => Vec::new(),
        }
    }

    fn log(&self) -> Option<String> {
        None
    }
}
