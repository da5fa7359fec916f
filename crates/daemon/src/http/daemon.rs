//! The daemon about itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use banger_api::{DoctorReport, Version};

use super::App;
use super::answer::{BadRequest, Refused};
use crate::doctor;

pub(crate) async fn version(State(app): State<App>) -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: app.build.to_string(),
        pid: std::process::id(),
        machines: u32::try_from(app.vms.machines()).unwrap_or(u32::MAX),
    })
}

pub(crate) async fn doctor(State(app): State<App>) -> Result<Json<DoctorReport>, Refused> {
    let context = std::sync::Arc::clone(app.vms.context());
    let examined = move || doctor::examine(&context.paths, &context.network);
    let report = tokio::task::spawn_blocking(examined).await;
    Ok(Json(report.map_err(|_| BadRequest::Defect("the examination"))?))
}

/// Ends the daemon. Machines run on and are adopted by the next one.
pub(crate) async fn stop(State(app): State<App>) -> StatusCode {
    app.stop.send_replace(true);
    StatusCode::ACCEPTED
}
