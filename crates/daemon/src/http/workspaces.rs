//! Workspaces over HTTP.

use axum::Json;
use axum::body::Body as AxumBody;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use banger_api::routes::reply::Raw;
use banger_api::{
    Unsaved, WorkspaceApplied, WorkspacePlan, WorkspaceQuery, WorkspaceRequest, WorkspaceStatus,
};
use banger_model::body;
use banger_request::Reporter;
use banger_workspace as workspace;

use super::answer::{Asked, Body, Refused};
use super::{App, events};

pub(crate) async fn plan(
    State(app): State<App>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Json<WorkspacePlan>, Refused> {
    let scratch = app.vms.context().scratch();
    Ok(Json(workspace::preview(request, scratch).await?))
}

pub(crate) async fn place(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Response, Refused> {
    let place = app.vms.place(&name, Reporter::default())?;
    // What the guest gets depends on it; what comes back does not.
    app.vms.context().config()?;
    Ok(events::respond(|say| async move {
        let placed = workspace::prepare(workspace::Place { say, ..place }, request).await;
        placed.map_err(|error| body(&error))
    }))
}

pub(crate) async fn status(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<WorkspaceQuery>,
) -> Result<Json<WorkspaceStatus>, Refused> {
    let (place, record) = app.vms.workspace(&name, &query, Reporter::default())?;
    Ok(Json(
        workspace::status(&place.target, &place.records, &record).await?,
    ))
}

pub(crate) async fn patch(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<WorkspaceQuery>,
) -> Result<Response, Refused> {
    let (place, record) = app.vms.workspace(&name, &query, Reporter::default())?;
    let patch = workspace::patch(&place.target, &record, &query, &place.scratch).await?;
    // What fails later breaks the connection, so that a part does not look like the whole.
    let raw = [(header::CONTENT_TYPE, Raw::CONTENT_TYPE)];
    Ok((raw, AxumBody::from_stream(patch)).into_response())
}

pub(crate) async fn pull(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(query): Body<WorkspaceQuery>,
) -> Result<Response, Refused> {
    let (place, record) = app.vms.workspace(&name, &query, Reporter::default())?;
    Ok(events::respond(|say| async move {
        let pulled = workspace::pull(&workspace::Place { say, ..place }, record).await;
        pulled.map_err(|error| body(&error))
    }))
}

pub(crate) async fn apply(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(query): Body<WorkspaceQuery>,
) -> Result<Json<WorkspaceApplied>, Refused> {
    Ok(Json(app.vms.apply(&name, &query).await?))
}

pub(crate) async fn unsaved(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Unsaved>, Refused> {
    Ok(Json(app.vms.unsaved(&name).await?))
}
