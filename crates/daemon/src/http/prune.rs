//! Removing what nobody needs, over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use banger_api::{DiskUsage, Prune, Pruned};
use banger_request::blocking;

use super::App;
use super::answer::{Body, Refused};

type Answer = Result<Json<Pruned>, Refused>;

pub(crate) async fn vms(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    Ok(Json(app.vms.prune_vms(&request).await?))
}

pub(crate) async fn images(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    let vms = Arc::clone(&app.vms);
    let pruned = blocking("removing images", move || vms.prune_images(&request));
    Ok(Json(pruned.await?))
}

pub(crate) async fn kernels(State(app): State<App>, Body(request): Body<Prune>) -> Answer {
    let vms = Arc::clone(&app.vms);
    let pruned = blocking("removing kernels", move || vms.prune_kernels(&request));
    Ok(Json(pruned.await?))
}

pub(crate) async fn cache(State(app): State<App>, Body(request): Body<Prune>) -> Json<Pruned> {
    Json(app.vms.prune_cache(request.dry_run))
}

pub(crate) async fn usage(State(app): State<App>) -> Result<Json<DiskUsage>, Refused> {
    Ok(Json(app.vms.usage().await?))
}
