//! Catalogs over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use banger_api::{
    AvailableImages, AvailableKernels, Catalog, CatalogAdd, ImagePublish, KernelPublish, KernelPull,
};
use banger_stores::{catalog_images, catalogs};

use super::answer::{Body, Refused, named};
use super::{App, events};

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Catalog>>, Refused> {
    Ok(Json(catalogs::list(&app.vms).await?))
}

pub(crate) async fn add(
    State(app): State<App>,
    Body(request): Body<CatalogAdd>,
) -> Result<Json<Catalog>, Refused> {
    Ok(Json(catalogs::add(&app.vms, request).await?))
}

pub(crate) async fn remove(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    catalogs::remove(&app.vms, named(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn kernels(State(app): State<App>) -> Result<Json<AvailableKernels>, Refused> {
    Ok(Json(catalogs::kernels(&app.vms).await?))
}

pub(crate) async fn images(State(app): State<App>) -> Result<Json<AvailableImages>, Refused> {
    Ok(Json(catalog_images::list(&app.vms).await?))
}

pub(crate) async fn pull(State(app): State<App>, Body(request): Body<KernelPull>) -> Response {
    events::respond(|say| async move { catalogs::pull(&app.vms, request, &say).await })
}

pub(crate) async fn publish_kernels(State(app): State<App>, Body(request): Body<KernelPublish>) -> Response {
    events::respond(|say| async move { catalogs::publish(&app.vms, request.into(), say).await })
}

pub(crate) async fn publish_images(State(app): State<App>, Body(request): Body<ImagePublish>) -> Response {
    events::respond(|say| async move { catalogs::publish(&app.vms, request.into(), say).await })
}
