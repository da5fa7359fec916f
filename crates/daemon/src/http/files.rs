//! Files of VMs over HTTP: a client gets a connection to the agent, and what is copied is not looked at here.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use banger_api::stream::{FilesDone, HANDED_OVER};
use banger_core::FileTransfer;

use super::answer::Refused;
use super::handover::handed_over;
use super::{App, upgrade};

type Name = Path<String>;

pub(crate) async fn put(
    app: State<App>,
    name: Name,
    query: RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, FileTransfer::Put).await
}

pub(crate) async fn get(
    app: State<App>,
    name: Name,
    query: RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, FileTransfer::Get).await
}

pub(crate) async fn list(
    app: State<App>,
    name: Name,
    query: RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    connect(&app, &name, query, request, FileTransfer::List).await
}

pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Name,
    RawQuery(query): RawQuery,
    names: Bytes,
) -> Result<Json<FilesDone>, Refused> {
    let query = query.unwrap_or_default();
    Ok(Json(app.vms.remove_files(&name, &query, names).await?))
}

async fn connect(
    app: &App,
    name: &str,
    RawQuery(query): RawQuery,
    mut request: Request,
    transfer: FileTransfer,
) -> Result<Response, Refused> {
    let client = upgrade::asked(&mut request, &[HANDED_OVER])?;
    let agent = app.vms.files(name, transfer, &query.unwrap_or_default()).await?;
    Ok(handed_over(client.connection, agent))
}
