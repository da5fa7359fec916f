//! The HTTP API on the daemon's socket: routes to handlers, and nothing else.

mod answer;
mod caller;
mod catalog_images;
mod catalogs;
mod chosen;
mod daemon;
mod egress;
mod events;
mod exec;
mod exports;
mod files;
mod forwards;
mod handover;
mod images;
mod in_use;
mod kernels;
mod listener;
mod logs;
mod openapi;
mod prune;
mod pull;
mod repository;
mod secrets;
mod sessions;
mod ssh;
mod streams;
mod upgrade;
mod vms;
mod work;
mod workspaces;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use tokio::sync::watch;

use crate::vm::Vms;

pub(crate) use images::sweep as sweep_images;
pub(crate) use listener::OwnersOnly;
pub(crate) use openapi::document;
pub(crate) use streams::Streams;
pub(crate) use work::perform;

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

/// Every route of the API, as the table in `banger-api` has them.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/version", get(daemon::version))
        .route("/v1/doctor", get(daemon::doctor))
        .route("/v1/openapi.json", get(openapi::get))
        .route("/v1/daemon/stop", post(daemon::stop))
        .route("/v1/kernels", get(kernels::list).post(kernels::import))
        .route("/v1/kernels/{name}", get(kernels::show).delete(kernels::delete))
        .route("/v1/catalogs", get(catalogs::list).post(catalogs::add))
        .route("/v1/catalogs/{name}", delete(catalogs::remove))
        .route("/v1/catalog/kernels", get(catalogs::kernels))
        .route("/v1/catalog/kernels/pull", post(catalogs::pull))
        .route("/v1/catalog/kernels/publish", post(catalogs::publish))
        .route("/v1/catalog/images", get(catalog_images::list))
        .route("/v1/catalog/images/publish", post(catalog_images::publish))
        .route("/v1/images", get(images::list).post(images::import))
        .route("/v1/image/pull", post(pull::pull))
        .route("/v1/image/register", post(images::register))
        .route(
            "/v1/images/{name}",
            put(images::upload).get(images::show).delete(images::delete),
        )
        .route("/v1/images/{name}/promote", post(images::promote))
        .route("/v1/images/{name}/default", put(images::set_default))
        .route("/v1/kernels/{name}/default", put(kernels::set_default))
        .route("/v1/images/{name}/tag", post(images::tag))
        .route("/v1/images/{name}/export", post(exports::export))
        .route("/v1/images/{name}/diff", get(exports::diff))
        .route("/v1/images/{name}/inspect", get(images::inspect))
        .route("/v1/vms", get(vms::list).post(vms::create))
        .route("/v1/vm/prune", post(prune::vms))
        .route("/v1/image/prune", post(prune::images))
        .route("/v1/kernel/prune", post(prune::kernels))
        .route("/v1/cache/prune", post(prune::cache))
        .route(
            "/v1/vms/{name}",
            get(vms::show).patch(vms::set).delete(vms::delete),
        )
        .route("/v1/vms/{name}/start", post(vms::start))
        .route("/v1/vms/{name}/stop", post(vms::stop))
        .route("/v1/vms/{name}/kill", post(vms::kill))
        .route("/v1/vms/{name}/hold", post(vms::hold))
        .route("/v1/vms/{name}/commit", post(vms::commit))
        .route("/v1/vms/{name}/restart", post(vms::restart))
        .route("/v1/vms/{name}/exec", post(exec::exec))
        .route(
            "/v1/vms/{name}/sessions",
            get(sessions::list).post(sessions::start),
        )
        .route(
            "/v1/vms/{name}/sessions/{session}",
            get(sessions::show).delete(sessions::remove),
        )
        .route("/v1/vms/{name}/sessions/{session}/wait", get(sessions::wait))
        .route("/v1/vms/{name}/sessions/{session}/signal", post(sessions::signal))
        .route("/v1/vms/{name}/sessions/{session}/stop", post(sessions::stop))
        .route("/v1/vms/{name}/sessions/{session}/stream", post(sessions::stream))
        .route("/v1/vms/{name}/ssh", post(ssh::open))
        .route("/v1/ssh", get(ssh::access))
        .route("/v1/vms/{name}/ports", get(forwards::ports))
        .route("/v1/forwards", get(forwards::all))
        .route("/v1/vms/{name}/forwards", get(forwards::list).post(forwards::add))
        .route("/v1/vms/{name}/forwards/remove", post(forwards::remove))
        .route("/v1/vms/{name}/egress", get(egress::list))
        .route("/v1/vms/{name}/egress/learned", get(egress::learned))
        .route("/v1/vms/{name}/files", put(files::put).get(files::get))
        .route("/v1/vms/{name}/files/list", get(files::list))
        .route("/v1/vms/{name}/files/remove", post(files::remove))
        .route("/v1/vms/{name}/secrets/{secret}", put(secrets::put))
        .route("/v1/vms/{name}/logs", get(logs::logs))
        .route(
            "/v1/vms/{name}/workspace",
            post(workspaces::place).get(workspaces::status),
        )
        .route("/v1/vms/{name}/workspace/patch", get(workspaces::patch))
        .route("/v1/vms/{name}/workspace/pull", post(workspaces::pull))
        .route("/v1/vms/{name}/workspace/apply", post(workspaces::apply))
        .route("/v1/vms/{name}/workspace/unsaved", get(workspaces::unsaved))
        .route("/v1/workspace/plan", post(workspaces::plan))
        .route("/v1/repository/wishes", post(repository::wishes))
        .route("/v1/trust", get(repository::list).post(repository::grant))
        .route("/v1/trust/revoke", post(repository::revoke))
        .fallback(answer::no_route)
        .layer(axum::middleware::from_fn(caller::heeded))
        .with_state(app)
}
