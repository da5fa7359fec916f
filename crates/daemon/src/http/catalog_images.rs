//! Images of catalogs over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use banger_api::{AvailableImage, AvailableImages, CatalogFailure, CatalogImage, ImagePublish, Presence};
use banger_image::{ImageRecord, catalog};

use super::App;
use super::answer::{Body, Refused, blocking};
use super::catalogs::{Error, fetcher, publish_with, signing_key};
use crate::catalogs;
use crate::error::body;
use crate::vm::Context;

pub(crate) async fn list(State(app): State<App>) -> Result<Json<AvailableImages>, Refused> {
    let context = Arc::clone(app.vms.context());
    let available = blocking("reading the catalogs", move || available(&context)).await?;
    Ok(Json(available))
}

fn available(context: &Context) -> Result<AvailableImages, Error> {
    let here = context.images.list().map_err(catalog::Error::Store)?;
    let fetcher = fetcher(&context.paths)?;
    let mut all = AvailableImages {
        images: Vec::new(),
        failures: Vec::new(),
    };
    for configured in catalogs::list(&context.paths)? {
        let name = configured.entry.name.clone();
        match configured.entry.to_catalog(&context.paths).read(&fetcher) {
            Ok(document) => all
                .images
                .extend(document.images.into_iter().map(|image| AvailableImage {
                    catalog: name.clone(),
                    here: presence(&image, &here),
                    image: described(image),
                })),
            Err(error) => all.failures.push(CatalogFailure {
                catalog: name,
                error: body(&error),
            }),
        }
    }
    Ok(all)
}

fn presence(image: &catalog::CatalogImage, here: &[ImageRecord]) -> Presence {
    if image.arch != std::env::consts::ARCH {
        return Presence::Foreign;
    }
    let digest = format!("sha256:{}", image.sha256);
    let origin = |record: &ImageRecord| record.origin.as_ref()?.digest.clone();
    match here.iter().find(|record| record.name == image.name) {
        None => Presence::Absent,
        Some(record) if origin(record) == Some(digest) => Presence::Here,
        Some(_) => Presence::Another,
    }
}

pub(crate) async fn publish(State(app): State<App>, Body(request): Body<ImagePublish>) -> Response {
    publish_with(
        app,
        catalog::PublishOptions {
            dir: request.dir,
            what: catalog::Publish::Images(request.images),
            key: signing_key(request.key),
            distro: None,
            description: request.description,
            valid_days: request.valid_days,
        },
    )
}

pub(super) fn described(image: catalog::CatalogImage) -> CatalogImage {
    CatalogImage {
        name: image.name,
        os: image.os,
        arch: image.arch,
        description: image.description,
        bytes: image.bytes,
        sha256: image.sha256.to_string(),
        kernel: image.kernel,
    }
}
