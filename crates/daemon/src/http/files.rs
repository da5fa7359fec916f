//! Files of VMs over HTTP: a client gets a connection to the agent, and what is copied is not looked at here.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use banger_api::stream::{FilesDone, HANDED_OVER, routes};
use http::Method;
use http_body_util::{BodyExt, Full};

use super::answer::Refused;
use super::handover::handed_over;
use super::{App, upgrade};
use crate::guest::{self, Guest};
use crate::vm;

pub(crate) async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, Method::PUT, routes::FILES).await
}

pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, Method::GET, routes::FILES).await
}

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, Method::GET, routes::FILES_LIST).await
}

pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    names: Bytes,
) -> Result<Json<FilesDone>, Refused> {
    let (guest, failed) = of(&app, &name)?;
    let names = BodyExt::boxed(Full::new(names).map_err(|never| match never {}));
    let done = guest.remove_files(&query.unwrap_or_default(), names).await;
    Ok(Json(done.map_err(failed)?))
}

/// A connection to the agent that does what is asked for.
async fn connect(
    app: &App,
    name: &str,
    query: Option<String>,
    mut request: Request,
    method: Method,
    route: &'static str,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, HANDED_OVER)?;
    let (guest, failed) = of(app, name)?;
    let asked = if route == routes::FILES {
        "copy files"
    } else {
        "list files"
    };
    let agent = guest
        .files(asked, method, route, &query.unwrap_or_default())
        .await;
    Ok(handed_over(client, agent.map_err(failed)?))
}

/// The agent of a VM, and what its failures are.
fn of(app: &App, name: &str) -> Result<(Guest, impl FnOnce(guest::Error) -> vm::Error), Refused> {
    let handle = app.vms.find(name)?;
    let guest = handle.live()?.guest();
    Ok((guest, vm::Error::of_guest(&handle.state().spec.name)))
}
