//! The body of every failure, and the closed set of its codes.

use serde::{Deserialize, Serialize};

/// What kind of failure an API error is. Scripts match on it; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request breaks a rule: a name, a size, a combination of options.
    InvalidRequest,
    /// No object of that name.
    NotFound,
    /// An object of that name exists.
    AlreadyExists,
    /// The object is used by another, which the message names.
    InUse,
    /// The VM is in a phase in which this cannot happen.
    WrongPhase,
    /// The backend or the kernel cannot do what was asked.
    Unsupported,
    /// Something on this host is missing or broken; `banger doctor` tells more.
    Host,
    /// The VMM refused, failed or died.
    Vmm,
    /// The guest refused, failed or died.
    Guest,
    /// An archive, file system or kernel file is malformed.
    BadInput,
    /// A deadline passed.
    Timeout,
    /// The request was cancelled by its caller.
    Cancelled,
    /// Client and daemon are of different versions.
    VersionMismatch,
    /// A defect of banger.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::NotFound,
        Self::AlreadyExists,
        Self::InUse,
        Self::WrongPhase,
        Self::Unsupported,
        Self::Host,
        Self::Vmm,
        Self::Guest,
        Self::BadInput,
        Self::Timeout,
        Self::Cancelled,
        Self::VersionMismatch,
        Self::Internal,
    ];

    /// The HTTP status that carries this code (RFC 9110).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::BadInput => 400,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::InUse | Self::WrongPhase => 409,
            Self::Unsupported => 422,
            Self::VersionMismatch => 426,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::Vmm | Self::Guest => 502,
            Self::Host => 503,
            Self::Timeout => 504,
        }
    }
}

/// Why a request failed: what the CLI prints as `error:`, `caused by:` and `hint:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct ErrorBody {
    /// The kind of failure.
    pub code: ErrorCode,
    /// The operation and its object, in one sentence.
    pub message: String,
    /// Deeper causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The end of the log that tells more: the guest's console or the VMM's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The id of the request, which is in the daemon's log lines about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub request_id: Option<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_can_change_is_its_error_and_the_rest_is_ours() {
        use ErrorCode as Kind;
        for (kind, status) in [
            (Kind::InvalidRequest, 400),
            (Kind::BadInput, 400),
            (Kind::NotFound, 404),
            (Kind::AlreadyExists, 409),
            (Kind::InUse, 409),
            (Kind::WrongPhase, 409),
            (Kind::Unsupported, 422),
            (Kind::VersionMismatch, 426),
            (Kind::Cancelled, 499),
            (Kind::Internal, 500),
            (Kind::Vmm, 502),
            (Kind::Guest, 502),
            (Kind::Host, 503),
            (Kind::Timeout, 504),
        ] {
            assert_eq!(kind.http_status(), status, "{kind:?}");
        }
    }
}
