//! Images over HTTP.

use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use banger_api::{
    Image, ImageDiff, ImageExport, ImageImport, ImageInspection, ImagePull, ImageRegister, ImageTag,
    ImageUpload,
};
use banger_stores::{exports, images, pull as pulls};
use futures_util::TryStreamExt;
use tokio_util::io::StreamReader;

use super::answer::{Asked, Body, Refused, named};
use super::{App, events};

type Answer = Result<Json<Image>, Refused>;

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Image>>, Refused> {
    Ok(Json(images::list(&app.vms).await?))
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer {
    Ok(Json(images::show(&app.vms, named(&name)?).await?))
}

pub(crate) async fn set_default(State(app): State<App>, Path(name): Path<String>) -> Answer {
    Ok(Json(images::set_default(&app.vms, named(&name)?).await?))
}

pub(crate) async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    images::delete(&app.vms, named(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn import(State(app): State<App>, Body(request): Body<ImageImport>) -> Response {
    events::respond(|say| async move { images::import(&app.vms, request, &say).await })
}

pub(crate) async fn upload(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(options): Asked<ImageUpload>,
    tar: Bytes,
) -> Result<Response, Refused> {
    let name = named(&name)?;
    let tar = StreamReader::new(tar.into_data_stream().map_err(std::io::Error::other));
    Ok(events::respond(|say| async move {
        images::upload(&app.vms, name, options, Box::pin(tar), &say).await
    }))
}

pub(crate) async fn pull(State(app): State<App>, Body(request): Body<ImagePull>) -> Response {
    events::respond(|say| async move { pulls::pull(&app.vms, request, &say).await })
}

pub(crate) async fn register(State(app): State<App>, Body(request): Body<ImageRegister>) -> Answer {
    Ok(Json(images::register(&app.vms, request).await?))
}

pub(crate) async fn promote(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Refused> {
    let name = named(&name)?;
    Ok(events::respond(|say| async move {
        images::promote(&app.vms, name, say).await
    }))
}

pub(crate) async fn tag(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ImageTag>,
) -> Answer {
    Ok(Json(images::tag(&app.vms, named(&name)?, request).await?))
}

pub(crate) async fn inspect(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ImageInspection>, Refused> {
    Ok(Json(images::inspect(&app.vms, named(&name)?).await?))
}

pub(crate) async fn export(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ImageExport>,
) -> Result<Response, Refused> {
    let name = named(&name)?;
    Ok(events::respond(|say| async move {
        exports::export(&app.vms, name, request, &say).await
    }))
}

pub(crate) async fn diff(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<ImageDiff>,
) -> Result<Response, Refused> {
    let listing = exports::diff(&app.vms, named(&name)?, query.other).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, Bytes::from_stream(listing)).into_response())
}
