//! Workspaces over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use banger_api::{WorkspacePlan, WorkspaceRequest};

use super::answer::{Body, Refused, blocking};
use super::{App, events};
use crate::error::body;
use crate::vm::Files;
use crate::workspace::{self, Place, Records};

pub(crate) async fn plan(
    State(app): State<App>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Json<WorkspacePlan>, Refused> {
    let scratch = app.vms.context().paths.cache.join("workspaces");
    let work = move || workspace::preview(&request, &scratch);
    Ok(Json(blocking("planning a workspace", work).await?))
}

pub(crate) async fn place(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<WorkspaceRequest>,
) -> Result<Response, Refused> {
    let handle = app.vms.find(&name)?;
    let (paths, state) = (&app.vms.context().paths, handle.state());
    let mut place = Place {
        vm: state.spec.name.to_string(),
        guest: handle.live()?.guest(),
        records: Records::of(Files::of(&paths.state, state.spec.id).dir()),
        scratch: paths.cache.join("workspaces"),
        say: crate::vm::Reporter::default(),
    };
    Ok(events::respond(|say| async move {
        place.say = say;
        workspace::place(place, request)
            .await
            .map_err(|error| body(&error))
    }))
}
