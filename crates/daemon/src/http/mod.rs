//! The HTTP API on the daemon's socket: routes to handlers, and nothing else.

mod alone;
mod answer;
mod caller;
mod catalogs;
mod daemon;
mod egress;
mod events;
mod exec;
mod files;
mod forwards;
mod handover;
mod images;
mod kernels;
mod listener;
mod logs;
mod prune;
mod repository;
mod request_id;
mod secrets;
mod served;
mod sessions;
mod ssh;
mod streams;
mod upgrade;
mod vms;
mod workspaces;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::MethodRouter;
use banger_api::routes::{self, Route};
use banger_core::Vms;
use tokio::sync::watch;

use self::served::{Served, on};

pub(crate) use listener::OwnersOnly;
pub(crate) use streams::Streams;
#[cfg(test)]
pub(crate) use {answer::no_route, events::respond};

/// The longest body that is read at once: a new VM may come with some secrets of a MiB each.
const MAX_BODY: usize = 32 << 20;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// The VMs.
    pub(crate) vms: Arc<Vms>,
    /// Set to true, it ends the daemon.
    pub(crate) stop: watch::Sender<bool>,
    /// What tells this build from others.
    pub(crate) build: Arc<str>,
    /// What ends with the daemon.
    pub(crate) streams: Streams,
}

/// Gives routes their handlers. A route of the table without one does not compile.
macro_rules! handlers {
    ($($route:ident => $handler:path,)+) => {
        $(impl Served for routes::$route {
            fn method_router() -> MethodRouter<App> {
                on::<Self, _, _>($handler)
            }
        })+
    };
}

handlers! {
    GetVersion => daemon::version,
    GetDoctor => daemon::doctor,
    GetOpenapi => daemon::openapi,
    StopDaemon => daemon::stop,
    ListKernels => kernels::list,
    ImportKernel => kernels::import,
    GetKernel => kernels::show,
    DeleteKernel => kernels::delete,
    SetDefaultKernel => kernels::set_default,
    PruneKernels => prune::kernels,
    ListCatalogs => catalogs::list,
    AddCatalog => catalogs::add,
    RemoveCatalog => catalogs::remove,
    ListCatalogKernels => catalogs::kernels,
    PullKernel => catalogs::pull,
    PublishKernels => catalogs::publish_kernels,
    ListCatalogImages => catalogs::images,
    PublishImages => catalogs::publish_images,
    ListImages => images::list,
    ImportImage => images::import,
    UploadImage => images::upload,
    RegisterImage => images::register,
    PullImage => images::pull,
    PruneImages => prune::images,
    GetImage => images::show,
    DeleteImage => images::delete,
    InspectImage => images::inspect,
    TagImage => images::tag,
    SetDefaultImage => images::set_default,
    PromoteImage => images::promote,
    ExportImage => images::export,
    DiffImage => images::diff,
    ListVms => vms::list,
    CreateVm => vms::create,
    PruneVms => prune::vms,
    PruneCache => prune::cache,
    GetDiskUsage => prune::usage,
    GetVm => vms::show,
    SetVm => vms::set,
    RenameVm => vms::rename,
    WaitForVm => vms::wait,
    DeleteVm => vms::delete,
    StartVm => vms::start,
    StopVm => vms::stop,
    KillVm => vms::kill,
    RestartVm => vms::restart,
    HoldVm => vms::hold,
    CommitVm => vms::commit,
    GetVmLog => logs::logs,
    ExecVm => exec::exec,
    ListSessions => sessions::list,
    StartSession => sessions::start,
    GetSession => sessions::show,
    RemoveSession => sessions::remove,
    WaitForSession => sessions::wait,
    SignalSession => sessions::signal,
    StopSession => sessions::stop,
    JoinSession => sessions::stream,
    OpenSsh => ssh::open,
    GetSshAccess => ssh::access,
    ListPorts => forwards::ports,
    ListAllForwards => forwards::all,
    ListForwards => forwards::list,
    AddForward => forwards::add,
    RemoveForwards => forwards::remove,
    ListEgress => egress::list,
    GetLearnedEgress => egress::learned,
    CopyFilesIn => files::put,
    CopyFilesOut => files::get,
    ListFiles => files::list,
    RemoveFiles => files::remove,
    PutVmSecret => secrets::put,
    PlanWorkspace => workspaces::plan,
    PrepareWorkspace => workspaces::place,
    GetWorkspace => workspaces::status,
    GetWorkspacePatch => workspaces::patch,
    PullWorkspace => workspaces::pull,
    ApplyWorkspace => workspaces::apply,
    GetUnsavedWork => workspaces::unsaved,
    GetRepositoryConfig => repository::wishes,
    ListTrust => repository::list,
    GrantTrust => repository::grant,
    RevokeTrust => repository::revoke,
}

/// Every route of the API.
pub(crate) fn router(app: App) -> Router {
    macro_rules! served {
        ($($route:ident)+) => {
            Router::new()$(.route(routes::$route::PATH, routes::$route::method_router()))+
        };
    }
    banger_api::for_each_route!(served)
        .fallback(answer::no_route)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn(caller::heeded))
        .layer(axum::middleware::from_fn(answer::described))
        .layer(axum::middleware::from_fn(request_id::identified))
        .with_state(app)
}
