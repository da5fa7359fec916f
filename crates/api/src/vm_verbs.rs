//! What a client asks of a VM, and how such an order ended.

use std::collections::BTreeMap;

use banger_model::network::NetMode;
use banger_model::{ByteSize, Forward, ImageName, KernelName, Phase, VmName, VmmChoice, WaitFor};
use serde::{Deserialize, Serialize};

use crate::vm::Vm;
use crate::{
    ErrorBody, RepositoryConfig, UnsavedWorkspace, VmSession, WorkspacePulled, WorkspaceReport,
    WorkspaceRequest,
};

/// Creates a VM and starts it, unless `no_start` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmCreate {
    /// Its name; a generated one when absent.
    #[schema(value_type = Option<String>)]
    pub name: Option<VmName>,
    /// The image; the default image when absent.
    #[schema(value_type = Option<String>)]
    pub image: Option<ImageName>,
    /// The kernel; the image's, else the default, when absent.
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// Memory in bytes, or a text such as `4G`.
    #[schema(value_type = Option<u64>)]
    pub memory: Option<ByteSize>,
    /// Size of the writable disk.
    #[schema(value_type = Option<u64>)]
    pub disk_size: Option<ByteSize>,
    /// The VMM; the configuration's when absent.
    pub vmm: Option<VmmChoice>,
    /// Only make the record and the disk.
    pub no_start: bool,
    /// How far the start goes before the request returns.
    pub wait: WaitFor,
    /// Variables of every command.
    pub env: BTreeMap<String, String>,
    /// How much of the network it reaches; the configuration's `default_net` when absent.
    pub net: Option<NetMode>,
    /// What beside that; `@NAME` is a preset of the configuration.
    pub allow: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports that are forwarded whenever it runs.
    pub forwards: Vec<Forward>,
    /// Others than this host may connect to published ports: an address beyond loopback needs this.
    pub open: bool,
    /// Nothing of its user's goes into it by itself: no `[[file_sync]]`, and not whose commits git makes.
    pub anonymous: bool,
    /// It goes with the command that it is made for: it is removed when no request holds it any more (`/hold`), and by a new
    /// daemon.
    pub remove_on_exit: bool,
    /// A repository that fills what is left open here. Its user has to trust it.
    pub repository: Option<RepositoryConfig>,
    /// Secrets that the guest gets before anything else. If one cannot be given, nothing is left of the VM.
    pub secrets: Vec<NewSecret>,
    /// A git checkout that is placed in the guest when it has its secrets. If it cannot be placed, nothing is left of the VM.
    pub workspace: Option<WorkspaceRequest>,
    /// Begin what the checkout needs, in the session `bootstrap`: installing the tools that its repository names, and then the commands
    /// of its configuration. Only those of a `repository` that is trusted run. The request does not wait for their end.
    pub bootstrap: bool,
    /// Variables of the client's user for that session, as `Exec` has them.
    pub user_env: BTreeMap<String, String>,
}

/// A secret of a VM that is made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// Its name, which is that of its file in `/run/banger/secrets`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// How the value is written.
    #[serde(default)]
    pub encoding: SecretEncoding,
}

/// How the value of a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretEncoding {
    /// As it is.
    #[default]
    Text,
    /// Two hexadecimal digits for each byte, for a value that is no text.
    Hex,
}

impl NewSecret {
    /// A secret of these bytes.
    pub fn new(name: impl Into<String>, value: Vec<u8>) -> Self {
        let name = name.into();
        match String::from_utf8(value) {
            Ok(value) => Self {
                name,
                value,
                encoding: SecretEncoding::Text,
            },
            Err(error) => Self {
                name,
                value: error
                    .as_bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                encoding: SecretEncoding::Hex,
            },
        }
    }

    /// Its bytes; nothing when it is not written as it says.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let digits = match self.encoding {
            SecretEncoding::Text => return Some(self.value.clone().into_bytes()),
            SecretEncoding::Hex => self.value.as_bytes(),
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        };
        digits.chunks(2).map(byte).collect()
    }
}

/// Without the value: what is printed of a request may be kept.
impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A VM that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmCreated {
    /// The VM.
    #[serde(flatten)]
    pub vm: Vm,
    /// What was placed in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceReport>,
    /// Whether the session `bootstrap` prepares the checkout now. A command that must not race with it follows a wait for `prepared`.
    #[serde(default)]
    pub bootstrap: bool,
}

/// Starts a stopped VM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmStart {
    /// How far the start goes before the request returns.
    pub wait: WaitFor,
    /// Names of the secrets that the client sends after this request: these are not reported as lost with the last run.
    pub secrets: Vec<String>,
}

/// Powers a VM off: the guest's init, then sync, then the VMM, then a kill, each within its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmStop {
    /// Milliseconds that the guest's init may take.
    pub grace_ms: u64,
}

impl Default for VmStop {
    fn default() -> Self {
        Self { grace_ms: 30_000 }
    }
}

/// How a VM is deleted: the query of `DELETE /v1/vms/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmDelete {
    /// Delete the VM although it runs, or has work that was not brought back.
    pub force: bool,
}

/// What became of a VM's work when the VM was stopped or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmWork {
    /// What was pulled first, because the configuration says so (`auto_export`).
    pub pulled: Vec<WorkspacePulled>,
    /// What the host does not have: it is on the disk of a VM that was stopped, and lost with one that was deleted.
    pub left: Vec<LeftWork>,
}

/// Work that the host does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeftWork {
    /// Where it is, and what there is.
    #[serde(flatten)]
    pub workspace: UnsavedWorkspace,
    /// Why its pull failed, if one was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorBody>,
}

impl From<UnsavedWorkspace> for LeftWork {
    fn from(workspace: UnsavedWorkspace) -> Self {
        Self {
            workspace,
            failure: None,
        }
    }
}

/// A VM that was stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmStopped {
    /// The VM.
    #[serde(flatten)]
    pub vm: Vm,
    /// What became of its work.
    pub work: VmWork,
}

/// Stops and starts a VM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmRestart {
    /// How it is stopped.
    pub stop: VmStop,
    /// How far the start goes.
    pub wait: WaitFor,
    /// Names of the secrets that the client sends after this request: these are not reported as lost with the last run.
    pub secrets: Vec<String>,
}

/// Changes a VM. What is absent stays. Sizes need it stopped; a disk only grows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmSet {
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// Memory.
    #[schema(value_type = Option<u64>)]
    pub memory: Option<ByteSize>,
    /// Size of the writable disk.
    #[schema(value_type = Option<u64>)]
    pub disk_size: Option<ByteSize>,
    /// The VMM.
    pub vmm: Option<VmmChoice>,
    /// The kernel.
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// How much of the network it reaches, from now on.
    pub net: Option<NetMode>,
    /// What beside that, in place of what was there.
    pub allow: Option<Vec<String>>,
    /// Whether it gets neither files of its user's nor whose commits git makes, from its next start on.
    pub anonymous: Option<bool>,
    /// Variables to set; an empty value removes one.
    pub env: BTreeMap<String, String>,
    /// Labels to set; an empty value removes one.
    pub labels: BTreeMap<String, String>,
}

/// Gives a VM that does not run another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmRename {
    /// The new name.
    #[schema(value_type = String)]
    pub name: VmName,
}

/// A VM that was renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmRenamed {
    /// The VM.
    #[serde(flatten)]
    pub vm: Vm,
    /// VMs whose network rules name the VM by its old name (`vm:NAME`). They are not changed.
    #[schema(value_type = Vec<String>)]
    pub named_by: Vec<VmName>,
}

/// What a VM is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// It has no machine: it is stopped, failed or deleted.
    #[default]
    Stopped,
    /// Its guest is ready.
    Running,
    /// Its guest is ready, and nothing prepares its checkout any more, however that ended: a command does not race with it. Also for a VM
    /// in which nothing was to be prepared.
    Prepared,
    /// It does not exist.
    Deleted,
}

/// The query of a wait for a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VmWait {
    /// What the VM is waited for.
    #[serde(rename = "for")]
    pub awaited: Awaited,
}

/// How a wait for a VM ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmWaited {
    /// The VM's name.
    pub name: String,
    /// Its phase; `null` if the VM is deleted.
    pub phase: Option<Phase>,
    /// Why the VM failed, if it did.
    pub last_error: Option<ErrorBody>,
    /// How the preparation of its checkout ended, after a wait for `prepared`; absent where nothing was to be prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<VmSession>,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The guest's console.
    #[default]
    Console,
    /// The VMM's own words.
    Vmm,
}

/// The query of a VM's logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogQuery {
    /// Which log.
    pub source: LogSource,
    /// Go on as more is written, until the machine ends or the client leaves.
    pub follow: bool,
    /// Only so many of the last lines; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only lines since this time, as RFC 3339. Lines of the console alone have times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Put its time before each line; `-` before a line whose time is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub timestamps: bool,
}

/// Removes what nobody uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prune {
    /// Report what would be removed, and remove nothing.
    pub dry_run: bool,
    /// Also images and kernels that were made or imported here, and may be nowhere else.
    pub all: bool,
    /// Nothing but these, by name: those that a user has agreed to.
    pub only: Option<Vec<String>>,
    /// With `dry_run`: as if these VMs were removed already.
    pub without_vms: Vec<String>,
    /// With `dry_run`: as if these images were removed already.
    pub without_images: Vec<String>,
}

impl Prune {
    /// Whether what has this name may be removed.
    pub fn may_remove(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|known| known == name))
    }
}

/// Makes an image of what a VM has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VmCommit {
    /// The image's name.
    #[schema(value_type = String)]
    pub image: ImageName,
    /// The kernel that its VMs boot; that of the image below when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kernel: Option<KernelName>,
    /// Replace an image of that name.
    #[serde(default)]
    pub force: bool,
}

/// What a prune removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pruned {
    /// Names of what was removed.
    pub names: Vec<String>,
    /// Bytes that it took.
    pub bytes: u64,
    /// What stays that nobody uses either, and why: a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}
