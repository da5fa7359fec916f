//! Logs of VMs over HTTP.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use banger_api::LogQuery;
use banger_api::routes::reply::Raw;

use super::App;
use super::answer::{Asked, Refused};

pub(crate) async fn logs(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, Refused> {
    let log = app.vms.logs(&name, &query)?;
    let raw = [(header::CONTENT_TYPE, Raw::CONTENT_TYPE)];
    Ok((raw, Body::from_stream(log)).into_response())
}
