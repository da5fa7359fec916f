//! Kernels over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use banger_api::{Kernel, KernelImport};
use banger_stores::kernels;

use super::answer::{Body, Refused, named};
use super::{App, events};

type Answer = Result<Json<Kernel>, Refused>;

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Kernel>>, Refused> {
    Ok(Json(kernels::list(&app.vms).await?))
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer {
    Ok(Json(kernels::show(&app.vms, named(&name)?).await?))
}

pub(crate) async fn set_default(State(app): State<App>, Path(name): Path<String>) -> Answer {
    Ok(Json(kernels::set_default(&app.vms, named(&name)?).await?))
}

pub(crate) async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    kernels::delete(&app.vms, named(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn import(State(app): State<App>, Body(request): Body<KernelImport>) -> Response {
    events::respond(|say| async move { kernels::import(&app.vms, request, &say).await })
}
