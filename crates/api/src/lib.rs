//! What clients and `bangerd` say to each other: HTTP/1.1 with JSON over the Unix socket of [`Paths::socket`].
//!
//! | method and path | in | out |
//! |---|---|---|
//! | `GET /v1/version` | | [`Version`] |
//! | `GET /v1/doctor` | | [`DoctorReport`] |
//! | `POST /v1/daemon/stop` | query [`DaemonStop`] | 202; machines keep running |
//! | `GET /v1/kernels`, `GET`, `DELETE /v1/kernels/{name}` | | [`Kernel`] |
//! | `POST /v1/kernels` | [`KernelImport`] | events, then [`Kernel`] |
//! | `GET /v1/catalogs` | | list of [`Catalog`] |
//! | `POST /v1/catalogs` | [`CatalogAdd`] | [`Catalog`] |
//! | `DELETE /v1/catalogs/{name}` | | 204 |
//! | `GET /v1/catalog/kernels` | | [`AvailableKernels`] |
//! | `POST /v1/catalog/kernels/pull` | [`KernelPull`] | events, then [`KernelPulled`] |
//! | `POST /v1/catalog/kernels/publish` | [`KernelPublish`] | events, then [`Published`] |
//! | `GET /v1/catalog/images` | | [`AvailableImages`] |
//! | `POST /v1/catalog/images/publish` | [`ImagePublish`] | events, then [`Published`] |
//! | `GET /v1/images`, `GET`, `DELETE /v1/images/{name}` | | [`Image`] |
//! | `POST /v1/images` | [`ImageImport`] | events, then [`Image`] |
//! | `PUT /v1/images/{name}` with a tar as body | query [`ImageUpload`] | events, then [`Image`] |
//! | `POST /v1/image/register` | [`ImageRegister`] | [`Image`] |
//! | `POST /v1/image/pull` | [`ImagePull`] | events, then [`ImagePulled`] |
//! | `POST /v1/images/{name}/tag` | [`ImageTag`] | [`Image`] |
//! | `GET /v1/images/{name}/inspect` | | [`ImageInspection`] |
//! | `POST /v1/images/{name}/export` | [`ImageExport`] | events, then [`ImageExported`] |
//! | `GET /v1/images/{name}/diff` | query [`ImageDiff`] | list of [`ImageDifference`] |
//! | `PUT /v1/images/{name}/default` | | [`Image`] |
//! | `PUT /v1/kernels/{name}/default` | | [`Kernel`] |
//! | `POST /v1/images/{name}/promote` | | events, then [`Image`] |
//! | `GET /v1/vms` | | list of [`Vm`] |
//! | `POST /v1/vms` | [`VmCreate`] | events, then [`Vm`] |
//! | `GET`, `PATCH`, `DELETE /v1/vms/{name}` | [`VmSet`] for `PATCH` | [`Vm`]; 204 for `DELETE` |
//! | `POST /v1/vms/{name}/start` | [`VmStart`] | events, then [`Vm`] |
//! | `POST /v1/vms/{name}/stop` | [`VmStop`] | [`Vm`] |
//! | `POST /v1/vms/{name}/kill` | | [`Vm`] |
//! | `POST /v1/vms/{name}/hold` | | events, until the VM is gone |
//! | `POST /v1/vms/{name}/restart` | [`VmRestart`] | events, then [`Vm`] |
//! | `POST /v1/vms/{name}/exec`, `Upgrade: stdio_mux_v1` | [`stream::Exec`] | 101, then frames |
//! | `GET /v1/vms/{name}/sessions` | | list of [`VmSession`] |
//! | `POST /v1/vms/{name}/sessions` | [`stream::SessionStart`] | [`VmSession`] |
//! | `GET`, `DELETE /v1/vms/{name}/sessions/{session}` | | [`VmSession`] |
//! | `GET /v1/vms/{name}/sessions/{session}/wait` | | [`VmSession`], when it has ended |
//! | `POST /v1/vms/{name}/sessions/{session}/signal` | [`stream::SessionSignal`] | [`VmSession`] |
//! | `POST /v1/vms/{name}/sessions/{session}/stop` | [`stream::SessionStop`] | [`VmSession`] |
//! | `POST /v1/vms/{name}/sessions/{session}/stream`, `Upgrade: stdio_mux_v1` | [`stream::SessionStream`] | 101, then frames |
//! | `POST /v1/vms/{name}/ssh`, `Upgrade: ssh_v1` | [`SshStart`] | 101, then SSH |
//! | `GET /v1/ssh` | | [`SshAccess`] |
//! | `GET /v1/vms/{name}/ports` | | list of [`VmPort`] |
//! | `GET /v1/forwards`, `GET /v1/vms/{name}/forwards` | | list of [`VmForward`] |
//! | `POST /v1/vms/{name}/forwards` | [`ForwardAdd`] | [`VmForward`] |
//! | `POST /v1/vms/{name}/forwards/remove` | [`ForwardRemove`] | list of the [`Forward`](banger_model::Forward)s removed |
//! | `GET /v1/vms/{name}/egress` | query [`EgressQuery`] | list of [`VmFlow`], or events of it and of [`EgressGap`] |
//! | `GET /v1/vms/{name}/egress/learned` | | [`VmLearned`] |
//! | `PUT /v1/vms/{name}/files`, `Upgrade: handed_over_v1` | query [`stream::PutFiles`] | 101, then a connection to the agent; see [`stream::files`] |
//! | `GET /v1/vms/{name}/files`, `Upgrade: handed_over_v1` | query [`stream::GetFiles`] | 101, then a connection to the agent |
//! | `GET /v1/vms/{name}/files/list`, `Upgrade: handed_over_v1` | query [`stream::OfDirectory`] | 101, then a connection to the agent |
//! | `POST /v1/vms/{name}/files/remove` | query [`stream::OfDirectory`] | [`stream::FilesDone`] |
//! | `PUT /v1/vms/{name}/secrets/{secret}` with the value as body | query [`stream::PutSecret`] | 204 |
//! | `GET /v1/vms/{name}/logs` | query [`LogQuery`] | text |
//! | `POST /v1/vms/{name}/workspace` | [`WorkspaceRequest`] | events, then [`WorkspaceReport`] |
//! | `GET /v1/vms/{name}/workspace` | query [`WorkspaceQuery`] | [`WorkspaceStatus`] |
//! | `GET /v1/vms/{name}/workspace/patch` | query [`WorkspaceQuery`] | a patch, as `git apply` takes it |
//! | `POST /v1/vms/{name}/workspace/pull` | [`WorkspaceQuery`] | events, then [`WorkspacePulled`] |
//! | `POST /v1/vms/{name}/workspace/apply` | [`WorkspaceQuery`] | [`WorkspaceApplied`] |
//! | `GET /v1/vms/{name}/workspace/unsaved` | | [`Unsaved`] |
//! | `POST /v1/repository/wishes` | [`WishesQuery`] | [`Wishes`] |
//! | `GET /v1/trust` | | list of [`TrustRecord`] |
//! | `POST /v1/trust` | [`TrustGrant`] | [`TrustRecord`] |
//! | `POST /v1/trust/revoke` | [`TrustRevoke`] | list of [`TrustRecord`], those that were |
//! | `POST /v1/workspace/plan` | [`WorkspaceRequest`] | [`WorkspacePlan`] |
//! | `POST /v1/vms/{name}/commit` | [`VmCommit`] | events, then [`Image`] |
//! | `POST /v1/vm/prune`, `/v1/image/prune`, `/v1/kernel/prune`, `/v1/cache/prune` | [`Prune`] | [`Pruned`] |
//!
//! "Events" are server-sent events (the WHATWG HTML standard) of [`Progress`], ended by one of name
//! [`EVENT_DONE`] with the result or [`EVENT_ERROR`] with an [`ErrorBody`]. Dropping such a request cancels the work
//! and undoes it; what had already finished stays. Every failure with a status of 4xx or 5xx has an [`ErrorBody`].

pub mod caller;
mod catalog;
mod daemon;
mod egress;
mod error;
mod forward;
mod helper;
mod image;
mod kernel;
mod paths;
mod progress;
mod repository;
mod session;
mod ssh;
mod vm;
pub mod whereabouts;
mod workspace;

#[cfg(feature = "client")]
pub mod client;

pub use banger_guest_api as stream;
pub use catalog::{
    AvailableImage, AvailableImages, AvailableKernel, AvailableKernels, Catalog, CatalogAdd, CatalogFailure,
    CatalogImage, CatalogKernel, ImagePublish, KernelPublish, KernelPull, KernelPulled, Presence, Published,
    SigningKey,
};
pub use daemon::{ANOTHER_RUNS, Check, CheckStatus, DaemonStop, DoctorReport, Version};
pub use egress::{EVENT_FLOW, EVENT_GAP, EgressGap, EgressQuery, FlowVerdict, VmFlow, VmLearned};
pub use error::ErrorBody;
pub use forward::{ForwardAdd, ForwardRemove, ForwardState, GuestProcess, HttpGuess, VmForward, VmPort};
pub use helper::{HelperMember, HelperNetwork, HelperReport, HelperState};
pub use image::{
    Aspect, Compression, DifferenceKind, Image, ImageConfig, ImageDiff, ImageDifference, ImageExport,
    ImageExported, ImageImport, ImageInspection, ImageOrigin, ImagePull, ImagePulled, ImageRegister,
    ImageTag, ImageUpload, RegistryLogin,
};
pub use kernel::{Kernel, KernelImport, KernelSource};
pub use paths::{Paths, PathsError};
pub use progress::{EVENT_DONE, EVENT_ERROR, EVENT_PROGRESS, Progress};
pub use repository::{
    RepositoryConfig, TrustGrant, TrustRecord, TrustRevoke, TrustState, WishedImage, Wishes, WishesQuery,
};
pub use session::{VmSession, VmSessionLog, VmSessionState, VmSessionUsage};
pub use ssh::{SshAccess, SshStart};
pub use vm::{
    LogQuery, LogSource, Machine, MachineProcess, Prune, Pruned, Vm, VmCommit, VmCreate, VmNetwork,
    VmRestart, VmSet, VmStart, VmStop,
};
pub use workspace::{
    PulledRef, Unsaved, UnsavedWorkspace, WorkspaceApplied, WorkspaceChange, WorkspaceEntry, WorkspaceMode,
    WorkspaceOmission, WorkspacePlan, WorkspacePulled, WorkspaceQuery, WorkspaceReport, WorkspaceRequest,
    WorkspaceStatus,
};
