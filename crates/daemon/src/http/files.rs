//! Files of VMs over HTTP: what comes is passed on, to the agent and from it. Nothing of it is looked at or kept.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use banger_api::stream::{FilesDone, routes};
use futures_util::StreamExt;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::answer::Refused;
use crate::guest::{Guest, RequestBody};
use crate::vm;

/// Chunks that are under way at most, a few hundred KiB each.
const AHEAD: usize = 4;

pub(crate) async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<FilesDone>, Refused> {
    let (guest, failed) = of(&app, &name)?;
    let request = asking(Method::PUT, routes::FILES, query, passed_on(request.into_body()));
    let done = guest.files("copy files", request).await.map_err(failed)?;
    Ok(Json(done))
}

pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<FilesDone>, Refused> {
    let (guest, failed) = of(&app, &name)?;
    let request = asking(
        Method::POST,
        routes::FILES_REMOVE,
        query,
        passed_on(request.into_body()),
    );
    let done = guest.files("remove files", request).await.map_err(failed)?;
    Ok(Json(done))
}

pub(crate) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    stream(&app, &name, query, routes::FILES, "copy files").await
}

pub(crate) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    stream(&app, &name, query, routes::FILES_LIST, "list files").await
}

async fn stream(
    app: &App,
    name: &str,
    query: Option<String>,
    route: &'static str,
    asked: &'static str,
) -> Result<Response, Refused> {
    let (guest, failed) = of(app, name)?;
    let request = asking(Method::GET, route, query, passed_on(Body::empty()));
    let answer = guest.file_stream(asked, request).await.map_err(failed)?;
    Ok(Response::new(Body::new(answer)))
}

/// The agent of a VM, and what its failures are.
fn of(app: &App, name: &str) -> Result<(Guest, impl FnOnce(crate::guest::Error) -> vm::Error), Refused> {
    let handle = app.vms.find(name)?;
    let guest = handle.live()?.guest();
    let failed = move |source| vm::Error::Guest {
        name: handle.state().spec.name,
        source: Box::new(source),
        console: None,
    };
    Ok((guest, failed))
}

fn asking(
    method: Method,
    route: &str,
    query: Option<String>,
    body: RequestBody,
) -> http::Request<RequestBody> {
    http::Request::builder()
        .method(method)
        .uri(format!("{route}?{}", query.unwrap_or_default()))
        .body(body)
        .expect("a query that was one already")
}

/// A client's body as the agent's. When the agent takes no more of it, it is read to its end all the same: a client that
/// is stopped in the middle of its request would not see the answer.
fn passed_on(body: Body) -> RequestBody {
    let (to, from) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let _ = to
                .send(chunk.map(Frame::data).map_err(std::io::Error::other))
                .await;
        }
    });
    BodyExt::boxed(StreamBody::new(ReceiverStream::new(from)))
}
