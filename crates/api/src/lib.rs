//! The protocol between clients and `bangerd`: HTTP/1.1 with JSON over the Unix socket of [`Paths::socket`].
//!
//! [`routes`] has every route as a type, and describes how to add one; `docs/api.md` lists them. `docs/protocol.md` describes the
//! protocols that a connection can switch to (101), and [`stream`] has their codecs.
//!
//! Long work ([`routes::reply::Work`]) is answered by server-sent events (the WHATWG HTML standard) of [`Progress`], ended by
//! one of name [`EVENT_DONE`] with the result or [`EVENT_ERROR`] with an [`ErrorBody`]. Dropping such a request cancels the work
//! and undoes it; what had already finished stays. Every failure with a status of 4xx or 5xx has an [`ErrorBody`].

pub mod caller;
mod catalog;
mod configuration;
mod daemon;
mod egress;
mod forward;
mod helper;
mod image;
mod kernel;
pub mod openapi;
mod paths;
mod progress;
mod repository;
pub mod routes;
mod session;
mod ssh;
mod trust;
mod usage;
pub mod user_env;
mod vm;
mod vm_verbs;
pub mod whereabouts;
mod workspace;

pub use banger_guest_api as stream;
pub use banger_model::ErrorBody;
pub use catalog::{
    AvailableImage, AvailableImages, AvailableKernel, AvailableKernels, Catalog, CatalogAdd, CatalogFailure,
    CatalogImage, CatalogKernel, ImagePublish, KernelPublish, KernelPull, KernelPulled, Presence, Published,
    SigningKey,
};
pub use configuration::{ConfigEntry, ConfigSource};
pub use daemon::{ANOTHER_RUNS, ApiVersion, Check, CheckStatus, DaemonStop, DoctorReport, Version};
pub use egress::{EVENT_FLOW, EVENT_GAP, EgressGap, EgressQuery, FlowVerdict, VmFlow, VmLearned};
pub use forward::{ForwardAdd, ForwardRemove, ForwardState, GuestProcess, HttpGuess, VmForward, VmPort};
pub use helper::{HelperMember, HelperNetwork, HelperReport, HelperState};
pub use image::{
    Image, ImageDiff, ImageDifference, ImageExport, ImageExported, ImageImport, ImageInspection, ImagePull,
    ImagePulled, ImageRegister, ImageTag, ImageUpload, RegistryLogin,
};
pub use kernel::{Kernel, KernelFiles, KernelImport, KernelSource};
pub use paths::{Paths, PathsError};
pub use progress::{EVENT_DONE, EVENT_ERROR, EVENT_PROGRESS, Progress};
pub use repository::{WishedImage, Wishes, WishesQuery};
pub use session::{BOOTSTRAP, VmSession, VmSessionLog, VmSessionUsage};
pub use ssh::{SshAccess, SshStart};
pub use trust::{RepositoryConfig, TrustGrant, TrustRecord, TrustRevoke, TrustState};
pub use usage::{DiskUsage, UsageKind, UsageObject, UsageOf};
pub use vm::{Machine, MachineProcess, Vm, VmNetwork};
pub use vm_verbs::{
    Awaited, LeftWork, LogQuery, LogSource, NewSecret, Prune, Pruned, SecretEncoding, VmCommit, VmCreate,
    VmCreated, VmDelete, VmRename, VmRenamed, VmRestart, VmSet, VmStart, VmStop, VmStopped, VmWait, VmWaited,
    VmWork,
};
pub use workspace::{
    GUEST_PATH, PulledRef, REPOSITORY_LABEL, Unsaved, UnsavedWorkspace, WORKSPACE_LABEL, WorkspaceApplied,
    WorkspaceChange, WorkspaceEntry, WorkspaceMode, WorkspaceOmission, WorkspacePlan, WorkspacePulled,
    WorkspaceQuery, WorkspaceReport, WorkspaceRequest, WorkspaceStatus,
};
