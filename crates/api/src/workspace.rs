//! Git checkouts placed in guests, and what comes back of them.

use std::path::PathBuf;

use banger_model::VmName;
use serde::{Deserialize, Serialize};

/// The label that names a VM's workspace.
pub const WORKSPACE_LABEL: &str = "banger.workspace";

/// The label that names the repository of this host which was placed there.
pub const REPOSITORY_LABEL: &str = "banger.repository";

/// Default path of a checkout in the guest. The checkout belongs to the user that the VM's commands run as.
pub const GUEST_PATH: &str = "/root/repo";

/// How much of a repository goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceMode {
    /// HEAD with what is staged, changed and untracked.
    #[default]
    Overlay,
    /// That, and ignored files.
    FullCopy,
    /// HEAD alone.
    Clean,
}

/// Which work to place in a guest, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceRequest {
    /// An absolute path in a git work tree on the host.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Where it goes in the guest.
    pub guest_path: String,
    /// How much of it goes.
    #[serde(default)]
    pub mode: WorkspaceMode,
    /// A branch to make in the guest's checkout.
    #[serde(default)]
    pub branch: Option<String>,
    /// The commit that goes in place of HEAD, without the working tree's changes.
    #[serde(default)]
    pub from: Option<String>,
    /// How many commits of history go: 10 when absent, all when 0.
    #[serde(default)]
    pub depth: Option<u32>,
    /// Leave untracked files behind.
    #[serde(default)]
    pub no_untracked: bool,
    /// Take untracked files that look like secrets.
    #[serde(default)]
    pub include_secrets: bool,
    /// Let nothing in the guest write to it.
    #[serde(default)]
    pub readonly: bool,
    /// Write over what the guest has changed itself.
    #[serde(default)]
    pub force: bool,
}

impl WorkspaceRequest {
    /// Everything of the repository at `path` that is not ignored, placed at `guest_path`.
    pub fn of(path: PathBuf, guest_path: String) -> Self {
        Self {
            path,
            guest_path,
            ..Self::default()
        }
    }
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
    /// `tracked`, `modified`, `staged`, `untracked` or `ignored`.
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
    /// Files that the workspace has.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Files of them that were sent this time.
    pub sent_files: u64,
    /// Bytes that went between host and guest this time.
    pub sent_bytes: u64,
    /// Files that the guest has changed and that were left as the guest has them.
    pub kept: Vec<String>,
    /// Files that stayed behind, with the reason.
    pub omitted: Vec<WorkspaceOmission>,
    /// What else there is to know: a partial clone, files that are stored through filters.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Which workspace of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceQuery {
    /// Its directory in the guest; needed when there are several.
    #[serde(default)]
    pub path: Option<String>,
    /// For a patch: the commit to compare with, in place of what was placed.
    #[serde(default)]
    pub base: Option<String>,
    /// For a patch: with colours, for people.
    #[serde(default)]
    pub color: bool,
}

/// What a guest has made of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceStatus {
    /// Its directory in the guest.
    pub guest_path: String,
    /// The repository on the host.
    #[schema(value_type = String)]
    pub source: PathBuf,
    /// The branch that is checked out, or `None` when HEAD is detached.
    pub branch: Option<String>,
    /// The commit of HEAD, or `None` before the first one.
    pub head: Option<String>,
    /// How many commits HEAD has that were not placed.
    pub commits: u64,
    /// Files that are not as they were placed.
    pub changes: Vec<WorkspaceChange>,
    /// Whether there is work that the host does not have, or may not have.
    pub unsaved: bool,
    /// What no pull brings: files that the guest's git cannot read, repositories that were made in the guest.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A file that is not as it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceChange {
    /// `A`, `M`, `D` or `T`, as git has them.
    pub status: String,
    /// Path under the workspace; bytes that are no UTF-8 are shown replaced.
    pub path: String,
}

/// What came back from a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspacePulled {
    /// Its directory in the guest.
    pub guest_path: String,
    /// The repository on the host.
    #[schema(value_type = String)]
    pub source: PathBuf,
    /// References that are new or have moved.
    pub refs: Vec<PulledRef>,
    /// The reference that has everything: the uncommitted work if there is any, else HEAD. `None` when the guest has no
    /// commit and no file.
    pub tip: Option<String>,
    /// Whether that is uncommitted work.
    pub uncommitted: bool,
    /// Whether changes that were not committed on the host came along and are a part of it.
    pub carries_local_changes: bool,
    /// Whether the work tree on the host has changes that are not committed, so that `git merge` would refuse and
    /// `banger vm workspace apply` is what takes the work.
    #[serde(default)]
    pub dirty: bool,
    /// What of the work did not come, in words: it goes with the VM. `None` when all came.
    #[serde(default)]
    pub left: Option<String>,
    /// What the guest has that was not taken, and why.
    pub notes: Vec<String>,
}

/// What was merged into the work tree on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceApplied {
    /// The repository on the host.
    #[schema(value_type = String)]
    pub source: PathBuf,
    /// The reference that was merged, `refs/banger/VM/…`.
    pub tip: String,
    /// The files that changed.
    pub changes: Vec<WorkspaceChange>,
    /// What was not merged, and why.
    pub notes: Vec<String>,
}

/// A reference of the host's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PulledRef {
    /// Its name, `refs/banger/VM/…`.
    pub name: String,
    /// Its commit.
    pub commit: String,
}

/// The workspaces of a VM whose work was not brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Unsaved {
    /// The VM.
    #[schema(value_type = String)]
    pub vm: VmName,
    /// Those with work that the host does not have, or may not have.
    pub workspaces: Vec<UnsavedWorkspace>,
    /// Whether the configuration says that work is brought back before a VM stops (`auto_export`).
    pub auto_export: bool,
}

/// A workspace with work that the host does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnsavedWorkspace {
    /// Its directory in the guest.
    pub guest_path: String,
    /// What there is, in words.
    pub what: String,
    /// Whether that is known, or could not be told.
    pub known: bool,
}
