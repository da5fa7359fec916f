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

use super::answer::{Asked, Body, Refused};
use super::{App, events};
use crate::error::{body, chain};
use crate::progress::Reporter;
use crate::repository::trust;
use crate::vm::Handle;
use crate::workspace::{self, Place, Record, Records};

pub(crate) async fn plan(
    State(app): State<App>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Json<WorkspacePlan>, Refused> {
    let scratch = workspace::scratch(&app.vms.context().paths);
    Ok(Json(workspace::preview(request, scratch).await?))
}

pub(crate) async fn place(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Response, Refused> {
    let mut place = place_of(&app, &name)?;
    // What the guest gets depends on it; what comes back does not.
    app.vms.context().config()?;
    Ok(events::respond(|say| async move {
        place.say = say;
        workspace::place(place, request)
            .await
            .map_err(|error| body(&error))
    }))
}

pub(crate) async fn status(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<WorkspaceQuery>,
) -> Result<Json<WorkspaceStatus>, Refused> {
    let (place, record) = chosen(&app, &name, &query)?;
    Ok(Json(workspace::status(&place.guest, &record).await?))
}

pub(crate) async fn patch(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<WorkspaceQuery>,
) -> Result<Response, Refused> {
    let (place, record) = chosen(&app, &name, &query)?;
    let patch = workspace::patch(&place.guest, &record, &query, &place.scratch).await?;
    // What fails later breaks the connection, so that a part does not look like the whole.
    let raw = [(header::CONTENT_TYPE, Raw::CONTENT_TYPE)];
    Ok((raw, AxumBody::from_stream(patch)).into_response())
}

pub(crate) async fn pull(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(query): Body<WorkspaceQuery>,
) -> Result<Response, Refused> {
    let (mut place, record) = chosen(&app, &name, &query)?;
    Ok(events::respond(|say| async move {
        place.say = say;
        workspace::pull(&place, record)
            .await
            .map_err(|error| body(&error))
    }))
}

pub(crate) async fn apply(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(query): Body<WorkspaceQuery>,
) -> Result<Json<WorkspaceApplied>, Refused> {
    let handle = app.vms.find(&name)?;
    let vm = handle.state().spec.name.to_string();
    let records = records(&app, &handle);
    let record = workspace::chosen(&records, &vm, query.path.as_deref())?;
    let scratch = workspace::scratch(&app.vms.context().paths);
    Ok(Json(workspace::apply(vm, records, record, scratch).await?))
}

pub(crate) async fn unsaved(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Unsaved>, Refused> {
    let handle = app.vms.find(&name)?;
    // Ending a VM needs no configuration: with one that cannot be read, nothing is brought back by itself.
    let auto_export = app.vms.context().config().is_ok_and(|config| config.auto_export);
    let records = records(&app, &handle);
    // One that does not run cannot be asked.
    let guest = handle.live().ok();
    let guest = guest.map(|live| live.guest().of_user(&handle.state().image.config.user));
    Ok(Json(Unsaved {
        vm: handle.state().spec.name,
        workspaces: workspace::unsaved(guest, &records).await,
        auto_export,
    }))
}

/// Does for the workspaces of a VM that was started what has to be done.
pub(super) async fn started(app: &App, handle: &Handle, say: &Reporter) {
    let Ok(live) = handle.live() else { return };
    if let Err(error) = workspace::started(&live.guest(), &records(app, handle)).await {
        say.note(format!("a workspace is not read-only: {}", chain(&error)));
    }
}

/// What was placed in a VM.
pub(super) fn records(app: &App, handle: &Handle) -> Records {
    Records::of(app.vms.context().files(handle.state().spec.id).dir())
}

fn place_of(app: &App, name: &str) -> Result<Place, Refused> {
    let handle = app.vms.find(name)?;
    let state = handle.state();
    let spec = state.spec;
    let context = app.vms.context();
    Ok(Place {
        vm: spec.name.to_string(),
        guest: handle.live()?.guest().of_user(&state.image.config.user),
        records: records(app, &handle),
        git_identity: context.config().is_ok_and(|config| config.git_identity)
            && !spec.anonymous
            && trust::keeps_apart(&context.database, &spec).is_none(),
        scratch: workspace::scratch(&app.vms.context().paths),
        say: Reporter::default(),
    })
}

fn chosen(app: &App, name: &str, query: &WorkspaceQuery) -> Result<(Place, Record), Refused> {
    let place = place_of(app, name)?;
    let record = workspace::chosen(&place.records, &place.vm, query.path.as_deref())?;
    Ok((place, record))
}
