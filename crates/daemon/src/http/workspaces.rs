//! Workspaces over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use banger_api::{WorkspacePlan, WorkspaceRequest};

use super::answer::{Body, Refused, blocking};
use super::{App, events};
use crate::error::body;
use crate::workspace;

pub(crate) async fn plan(Body(request): Body<WorkspaceRequest>) -> Result<Json<WorkspacePlan>, Refused> {
    Ok(Json(
        blocking("planning a workspace", move || workspace::preview(&request)).await?,
    ))
}

pub(crate) async fn place(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Response, Refused> {
    let guest = app.vms.find(&name)?.live()?.guest();
    let scratch = app.vms.context().paths.cache.join("workspaces");
    Ok(events::respond(|_| async move {
        workspace::place(&guest, request, scratch)
            .await
            .map_err(|error| body(&error))
    }))
}
