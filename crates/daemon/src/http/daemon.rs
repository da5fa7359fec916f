//! The daemon about itself.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use banger_api::{ApiVersion, DaemonStop, DoctorReport, ErrorBody, Version};
use banger_request::blocking;

use super::App;
use super::answer::{Asked, BadRequest, Refused};
use crate::doctor;

pub(crate) async fn version(State(app): State<App>) -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiVersion::CURRENT,
        build: app.build.to_string(),
        pid: std::process::id(),
        machines: u32::try_from(app.vms.machines()).unwrap_or(u32::MAX),
        streams: app.streams.count(),
        groups: groups(),
    })
}

pub(crate) async fn doctor(State(app): State<App>) -> Result<Json<DoctorReport>, Refused> {
    let vms = std::sync::Arc::clone(&app.vms);
    let report = blocking("the examination", move || {
        Ok::<_, ErrorBody>(doctor::examine_with(&vms))
    });
    Ok(Json(report.await?))
}

pub(crate) async fn openapi() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, banger_api::openapi::document()).into_response()
}

/// The groups of this process: who was put into one later is in it from the next login on, and this process is not.
fn groups() -> Option<Vec<u32>> {
    let groups = rustix::process::getgroups().ok()?;
    let own = rustix::process::getegid();
    Some(
        groups
            .into_iter()
            .chain([own])
            .map(rustix::process::Gid::as_raw)
            .collect(),
    )
}

/// Ends the daemon. Machines run on and are adopted by the next one; streams end.
pub(crate) async fn stop(
    State(app): State<App>,
    Asked(stop): Asked<DaemonStop>,
) -> Result<StatusCode, Refused> {
    let streams = app.streams.count();
    if streams > 0 && !stop.force {
        return Err(BadRequest::Streams(streams).into());
    }
    app.stop.send_replace(true);
    Ok(StatusCode::ACCEPTED)
}
