//! A git checkout placed in a guest.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which work to place in a guest, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceRequest {
    /// An absolute path in a git work tree on the host.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Where it goes in the guest.
    pub guest_path: String,
    /// A branch to make in the guest's checkout.
    #[serde(default)]
    pub branch: Option<String>,
    /// The commit that branch starts from, in place of HEAD with the working tree's changes.
    #[serde(default)]
    pub from: Option<String>,
    /// Leave untracked files behind.
    #[serde(default)]
    pub no_untracked: bool,
}

/// What would be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspacePlan {
    /// The top of the work tree; `None` when the path is in no repository.
    #[schema(value_type = Option<String>)]
    pub root: Option<PathBuf>,
    /// The branch checked out, or `None` when HEAD is detached.
    pub branch: Option<String>,
    /// The commit of HEAD, or `None` in an empty repository.
    pub head: Option<String>,
    /// Files, with why they are taken.
    pub files: Vec<WorkspaceEntry>,
    /// Files that stay behind, with the reason.
    pub omitted: Vec<WorkspaceOmission>,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A file that is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceEntry {
    /// Path under the top of the work tree; bytes that are no UTF-8 are shown replaced.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// `tracked`, `modified`, `staged` or `untracked`.
    pub why: String,
}

/// A file that stays behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceOmission {
    /// Path under the top of the work tree.
    pub path: String,
    /// Why, such as `looks like a secret (.env)`.
    pub why: String,
}

/// What was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceReport {
    /// The directory in the guest.
    pub guest_path: String,
    /// Files written, the repository's own included.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that stayed behind, with the reason.
    pub omitted: Vec<WorkspaceOmission>,
}
