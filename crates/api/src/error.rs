//! The body of every failure.

use banger_model::ErrorCode;
use serde::{Deserialize, Serialize};

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
}
