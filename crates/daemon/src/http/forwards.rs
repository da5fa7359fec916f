//! Ports and forwards over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use banger_api::{ForwardAdd, ForwardRemove, VmForward, VmPort};
use banger_model::Forward;

use super::App;
use super::answer::{Body, Refused};

pub(crate) async fn ports(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Vec<VmPort>>, Refused> {
    Ok(Json(app.vms.ports(&name).await?))
}

pub(crate) async fn all(State(app): State<App>) -> Json<Vec<VmForward>> {
    let vms = app.vms.list();
    Json(vms.iter().flat_map(|handle| handle.state().forwards()).collect())
}

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Vec<VmForward>>, Refused> {
    Ok(Json(app.vms.find(&name)?.state().forwards()))
}

pub(crate) async fn add(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ForwardAdd>,
) -> Result<Json<VmForward>, Refused> {
    Ok(Json(app.vms.add_forward(&name, request).await?))
}

pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ForwardRemove>,
) -> Result<Json<Vec<Forward>>, Refused> {
    Ok(Json(app.vms.find(&name)?.remove_forwards(request).await?))
}
