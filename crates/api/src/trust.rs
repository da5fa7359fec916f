//! Trust in the configurations of repositories.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names the configuration of a repository that a VM is to be made by. It has to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// The top of the repository.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// The digest that `Wishes` had.
    pub digest: String,
}

/// A configuration of a repository that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrustRecord {
    /// The top of the repository.
    pub path: String,
    /// The digest of all files by which it asks for something.
    pub digest: String,
    /// The file that says most of it, or those that name tools.
    pub source: String,
    /// When it was trusted, as RFC 3339.
    pub since: String,
    /// What the repository has now.
    pub state: TrustState,
}

/// How a trusted configuration compares with what the repository has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustState {
    /// It has this one.
    Current,
    /// It has another one, which is not trusted by this.
    Changed,
    /// There is no such repository, or it asks for nothing.
    Gone,
}

impl TrustState {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// Trusts the configuration of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustGrant {
    /// A path in the repository.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// The digest that was looked at; another one is refused. The one that it has, when absent.
    #[serde(default)]
    pub digest: Option<String>,
}

/// Takes trust back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustRevoke {
    /// A path in the repository; all of them when absent.
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
}
