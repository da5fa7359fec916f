//! The table of routes: see [`super`] for how to add one.

use banger_guest_api::{
    Exec, FilesDone, GetFiles, OfDirectory, PutFiles, PutSecret, SessionSignal, SessionStart, SessionStop,
    SessionStream,
};
use banger_model::Forward;

use super::body::{Bytes, Paths, SecretValue, Tar};
use super::reply::{Accepted, Events, Flows, Held, Json, List, NoContent, Or, Raw, Work};
use super::switch::{Handed, HandedOver, Ssh, StdioMux, Upgrade};
use super::{Method, Route};
use crate::openapi::{Described, Schemas};
use crate::{
    AvailableImages, AvailableKernels, Catalog, CatalogAdd, DaemonStop, DiskUsage, DoctorReport, EgressQuery,
    ForwardAdd, ForwardRemove, Image, ImageDiff, ImageDifference, ImageExport, ImageExported, ImageImport,
    ImageInspection, ImagePublish, ImagePull, ImagePulled, ImageRegister, ImageTag, ImageUpload, Kernel,
    KernelImport, KernelPublish, KernelPull, KernelPulled, LogQuery, Prune, Pruned, Published, SshAccess,
    SshStart, TrustGrant, TrustRecord, TrustRevoke, Unsaved, Version, Vm, VmCommit, VmCreate, VmCreated,
    VmDelete, VmFlow, VmForward, VmLearned, VmPort, VmRename, VmRenamed, VmRestart, VmSession, VmSet,
    VmStart, VmStop, VmStopped, VmWait, VmWaited, VmWork, Wishes, WishesQuery, WorkspaceApplied,
    WorkspacePlan, WorkspacePulled, WorkspaceQuery, WorkspaceReport, WorkspaceRequest, WorkspaceStatus,
};

/// Makes a type of each entry, and the macro `for_each_route` of all of them.
macro_rules! routes {
    ($(
        #[doc = $summary:literal]
        $(#[doc = $more:literal])*
        $name:ident = $method:ident $path:literal $([query: $query:ty])? $([body: $body:ty])? -> $reply:ty;
    )+) => {
        $(
            #[doc = $summary]
            $(#[doc = $more])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Route for $name {
                const METHOD: Method = Method::$method;
                const PATH: &'static str = $path;
                const SUMMARY: &'static str = $summary.trim_ascii();
                const DESCRIPTION: &'static str = concat!($($more),*).trim_ascii();
                const OPERATION_ID: &'static str = stringify!($name);
                type Query = or_nothing!($($query)?);
                type Body = or_nothing!($($body)?);
                type Reply = $reply;
            }
        )+

        /// Every route, in the order of the table.
        pub(crate) fn described(schemas: &mut Schemas) -> Vec<Described> {
            vec![$(Described::of::<$name>(schemas)),+]
        }

        routes!(@list ($) $($name)+);
    };
    (@list ($dollar:tt) $($name:ident)+) => {
        /// Calls a macro with the names of all routes of [`routes`](crate::routes).
        #[macro_export]
        macro_rules! for_each_route {
            ($dollar call:ident) => { $dollar call!($($name)+) };
        }
    };
}

macro_rules! or_nothing {
    () => {
        ()
    };
    ($type:ty) => {
        $type
    };
}

routes! {
    /// Show the daemon's version, build and process.
    GetVersion = Get "/v1/version" -> Json<Version>;
    /// Examine the host.
    GetDoctor = Get "/v1/doctor" -> Json<DoctorReport>;
    /// Get this description.
    GetOpenapi = Get "/v1/openapi.json" -> Json<serde_json::Value>;
    /// Stop the daemon.
    /// Machines keep running. Streams that go through the daemon end; without `force` they are a reason to refuse.
    StopDaemon = Post "/v1/daemon/stop" [query: DaemonStop] -> Accepted;

    /// List kernels.
    ListKernels = Get "/v1/kernels" -> List<Kernel>;
    /// Import a kernel.
    ImportKernel = Post "/v1/kernels" [body: Json<KernelImport>] -> Work<Kernel>;
    /// Show a kernel.
    GetKernel = Get "/v1/kernels/{kernel}" -> Json<Kernel>;
    /// Remove a kernel.
    DeleteKernel = Delete "/v1/kernels/{kernel}" -> NoContent;
    /// Make a kernel the default one.
    SetDefaultKernel = Put "/v1/kernels/{kernel}/default" -> Json<Kernel>;
    /// Remove the kernels that no VM uses and no image names.
    PruneKernels = Post "/v1/kernel/prune" [body: Json<Prune>] -> Json<Pruned>;

    /// List catalogs.
    ListCatalogs = Get "/v1/catalogs" -> List<Catalog>;
    /// Add a catalog.
    AddCatalog = Post "/v1/catalogs" [body: Json<CatalogAdd>] -> Json<Catalog>;
    /// Remove a catalog.
    RemoveCatalog = Delete "/v1/catalogs/{catalog}" -> NoContent;
    /// List the kernels of all catalogs.
    ListCatalogKernels = Get "/v1/catalog/kernels" -> Json<AvailableKernels>;
    /// Pull a kernel from a catalog.
    PullKernel = Post "/v1/catalog/kernels/pull" [body: Json<KernelPull>] -> Work<KernelPulled>;
    /// Publish kernels as a catalog in a directory.
    PublishKernels = Post "/v1/catalog/kernels/publish" [body: Json<KernelPublish>] -> Work<Published>;
    /// List the images of all catalogs.
    ListCatalogImages = Get "/v1/catalog/images" -> Json<AvailableImages>;
    /// Publish images as a catalog in a directory.
    PublishImages = Post "/v1/catalog/images/publish" [body: Json<ImagePublish>] -> Work<Published>;

    /// List images.
    ListImages = Get "/v1/images" -> List<Image>;
    /// Import a tar or a directory that the daemon reads.
    ImportImage = Post "/v1/images" [body: Json<ImageImport>] -> Work<Image>;
    /// Import a tar that is the body.
    UploadImage = Put "/v1/images/{image}" [query: ImageUpload] [body: Bytes<Tar>] -> Work<Image>;
    /// Register an ext4 file as an image, where it lies.
    RegisterImage = Post "/v1/image/register" [body: Json<ImageRegister>] -> Json<Image>;
    /// Pull an image from a registry, a catalog, a layout or an archive.
    PullImage = Post "/v1/image/pull" [body: Json<ImagePull>] -> Work<ImagePulled>;
    /// Remove the images that no VM uses.
    PruneImages = Post "/v1/image/prune" [body: Json<Prune>] -> Json<Pruned>;
    /// Show an image.
    GetImage = Get "/v1/images/{image}" -> Json<Image>;
    /// Remove an image.
    DeleteImage = Delete "/v1/images/{image}" -> NoContent;
    /// Show an image with its documents.
    InspectImage = Get "/v1/images/{image}/inspect" -> Json<ImageInspection>;
    /// Give an image a second name.
    TagImage = Post "/v1/images/{image}/tag" [body: Json<ImageTag>] -> Json<Image>;
    /// Make an image the default one.
    SetDefaultImage = Put "/v1/images/{image}/default" -> Json<Image>;
    /// Copy a registered image into the store.
    PromoteImage = Post "/v1/images/{image}/promote" -> Work<Image>;
    /// Write an image into an OCI archive.
    ExportImage = Post "/v1/images/{image}/export" [body: Json<ImageExport>] -> Work<ImageExported>;
    /// Compare an image with another, or with the one that it was made on top of.
    DiffImage = Get "/v1/images/{image}/diff" [query: ImageDiff] -> List<ImageDifference>;

    /// List VMs.
    ListVms = Get "/v1/vms" -> List<Vm>;
    /// Create a VM and start it.
    /// A VM that starts then gets its secrets, its workspace, and the beginning of what that needs, in this order. If a step fails, or
    /// the request ends before its answer, what was made is removed.
    CreateVm = Post "/v1/vms" [body: Json<VmCreate>] -> Work<VmCreated>;
    /// Remove the VMs that do not run.
    PruneVms = Post "/v1/vm/prune" [body: Json<Prune>] -> Json<Pruned>;
    /// Remove cached files.
    PruneCache = Post "/v1/cache/prune" [body: Json<Prune>] -> Json<Pruned>;
    /// Show what images, kernels, VMs and caches take of the disk, and what prunes can free.
    GetDiskUsage = Get "/v1/usage" -> Json<DiskUsage>;
    /// Show a VM.
    GetVm = Get "/v1/vms/{vm}" -> Json<Vm>;
    /// Change a VM.
    SetVm = Patch "/v1/vms/{vm}" [body: Json<VmSet>] -> Json<Vm>;
    /// Rename a VM that does not run.
    /// Its id, its disk and its workspaces stay. Network rules of other VMs that name it are not changed, but listed.
    RenameVm = Post "/v1/vms/{vm}/rename" [body: Json<VmRename>] -> Json<VmRenamed>;
    /// Wait until a VM is stopped, running, prepared or deleted.
    WaitForVm = Get "/v1/vms/{vm}/wait" [query: VmWait] -> Json<VmWaited>;
    /// Delete a VM.
    /// Without `force`, a VM that runs, or that has work which the host does not have, is kept, with an error.
    DeleteVm = Delete "/v1/vms/{vm}" [query: VmDelete] -> Json<VmWork>;
    /// Start a VM.
    StartVm = Post "/v1/vms/{vm}/start" [body: Json<VmStart>] -> Work<Vm>;
    /// Power a VM off.
    StopVm = Post "/v1/vms/{vm}/stop" [body: Json<VmStop>] -> Json<VmStopped>;
    /// Kill a VM's machine.
    KillVm = Post "/v1/vms/{vm}/kill" -> Json<Vm>;
    /// Stop and start a VM.
    RestartVm = Post "/v1/vms/{vm}/restart" [body: Json<VmRestart>] -> Work<Vm>;
    /// Hold a VM that is removed on exit.
    /// The VM is removed when the client closes the connection. The stream ends when the VM is gone.
    HoldVm = Post "/v1/vms/{vm}/hold" -> Events<Held>;
    /// Make an image of what a VM has changed.
    CommitVm = Post "/v1/vms/{vm}/commit" [body: Json<VmCommit>] -> Work<Image>;
    /// Read a VM's log.
    GetVmLog = Get "/v1/vms/{vm}/logs" [query: LogQuery] -> Raw;

    /// Run a command in a VM.
    ExecVm = Post "/v1/vms/{vm}/exec" [body: Json<Exec>] -> Handed<StdioMux>;
    /// List the detached sessions of a VM that runs.
    ListSessions = Get "/v1/vms/{vm}/sessions" -> List<VmSession>;
    /// Start a detached session.
    StartSession = Post "/v1/vms/{vm}/sessions" [body: Json<SessionStart>] -> Json<VmSession>;
    /// Show a detached session.
    GetSession = Get "/v1/vms/{vm}/sessions/{session}" -> Json<VmSession>;
    /// Remove a detached session that has ended.
    RemoveSession = Delete "/v1/vms/{vm}/sessions/{session}" -> Json<VmSession>;
    /// Wait until a detached session has ended.
    WaitForSession = Get "/v1/vms/{vm}/sessions/{session}/wait" -> Json<VmSession>;
    /// Send a signal to a detached session.
    SignalSession = Post "/v1/vms/{vm}/sessions/{session}/signal" [body: Json<SessionSignal>] -> Json<VmSession>;
    /// Stop a detached session, and kill it when it has not ended in time.
    StopSession = Post "/v1/vms/{vm}/sessions/{session}/stop" [body: Json<SessionStop>] -> Json<VmSession>;
    /// Join a detached session's streams.
    JoinSession = Post "/v1/vms/{vm}/sessions/{session}/stream" [body: Json<SessionStream>] -> Handed<StdioMux>;
    /// Open an SSH connection to a VM.
    OpenSsh = Post "/v1/vms/{vm}/ssh" [body: Json<SshStart>] -> Handed<Ssh>;
    /// Show what an SSH client needs on this host.
    GetSshAccess = Get "/v1/ssh" -> Json<SshAccess>;

    /// List the ports that a VM listens at.
    ListPorts = Get "/v1/vms/{vm}/ports" -> List<VmPort>;
    /// List the port forwards of all VMs.
    ListAllForwards = Get "/v1/forwards" -> List<VmForward>;
    /// List the port forwards of a VM.
    ListForwards = Get "/v1/vms/{vm}/forwards" -> List<VmForward>;
    /// Add a port forward.
    AddForward = Post "/v1/vms/{vm}/forwards" [body: Json<ForwardAdd>] -> Json<VmForward>;
    /// Remove port forwards, and list those that were removed.
    RemoveForwards = Post "/v1/vms/{vm}/forwards/remove" [body: Json<ForwardRemove>] -> List<Forward>;
    /// List what a VM reached and what it was refused.
    ListEgress = Get "/v1/vms/{vm}/egress" [query: EgressQuery] -> Or<List<VmFlow>, Events<Flows>>;
    /// Show what a VM reached in learn mode, as rules.
    GetLearnedEgress = Get "/v1/vms/{vm}/egress/learned" -> Json<VmLearned>;

    /// Copy a tar into a VM.
    CopyFilesIn = Put "/v1/vms/{vm}/files" [query: PutFiles] -> Upgrade<HandedOver>;
    /// Copy files out of a VM, as a tar.
    CopyFilesOut = Get "/v1/vms/{vm}/files" [query: GetFiles] -> Upgrade<HandedOver>;
    /// List the files of a directory of a VM, as lines of `Listed`.
    ListFiles = Get "/v1/vms/{vm}/files/list" [query: OfDirectory] -> Upgrade<HandedOver>;
    /// Remove files below a directory of a VM.
    RemoveFiles = Post "/v1/vms/{vm}/files/remove" [query: OfDirectory] [body: Bytes<Paths>] -> Json<FilesDone>;
    /// Put a secret into a VM's memory.
    PutVmSecret = Put "/v1/vms/{vm}/secrets/{secret}" [query: PutSecret] [body: Bytes<SecretValue>] -> NoContent;

    /// Plan which files of a repository a workspace would have.
    PlanWorkspace = Post "/v1/workspace/plan" [body: Json<WorkspaceRequest>] -> Json<WorkspacePlan>;
    /// Prepare a workspace: put a git checkout into a VM.
    PrepareWorkspace = Post "/v1/vms/{vm}/workspace" [body: Json<WorkspaceRequest>] -> Work<WorkspaceReport>;
    /// Show what a VM has changed in a workspace.
    GetWorkspace = Get "/v1/vms/{vm}/workspace" [query: WorkspaceQuery] -> Json<WorkspaceStatus>;
    /// Show what a VM has changed in a workspace, as a patch for `git apply`.
    GetWorkspacePatch = Get "/v1/vms/{vm}/workspace/patch" [query: WorkspaceQuery] -> Raw;
    /// Pull a VM's work into refs of the host's repository.
    PullWorkspace = Post "/v1/vms/{vm}/workspace/pull" [body: Json<WorkspaceQuery>] -> Work<WorkspacePulled>;
    /// Merge a VM's pulled work into the work tree on the host.
    ApplyWorkspace = Post "/v1/vms/{vm}/workspace/apply" [body: Json<WorkspaceQuery>] -> Json<WorkspaceApplied>;
    /// Show which of a VM's work was not pulled.
    GetUnsavedWork = Get "/v1/vms/{vm}/workspace/unsaved" -> Json<Unsaved>;

    /// Show what the configuration of a repository asks for.
    GetRepositoryConfig = Post "/v1/repository/wishes" [body: Json<WishesQuery>] -> Json<Wishes>;
    /// List the repository configurations that are trusted.
    ListTrust = Get "/v1/trust" -> List<TrustRecord>;
    /// Trust a repository configuration.
    GrantTrust = Post "/v1/trust" [body: Json<TrustGrant>] -> Json<TrustRecord>;
    /// Revoke the trust in one repository configuration or in all, and list those that were trusted.
    RevokeTrust = Post "/v1/trust/revoke" [body: Json<TrustRevoke>] -> List<TrustRecord>;
}
