//! Confined children, as the rest of the daemon speaks of them: see `banger_confined`.

use banger_model::ErrorCode;

pub(crate) use banger_confined::*;

use crate::error::Describe;

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Limit { .. } | Self::Failed { .. } => ErrorCode::BadInput,
            Self::Answer { .. } => ErrorCode::Internal,
            Self::Spawn { .. }
            | Self::Read { .. }
            | Self::Wait { .. }
            | Self::InVain { .. }
            | Self::Cancelled { .. } => ErrorCode::Host,
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
}
