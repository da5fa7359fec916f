//! The images that catalogs offer.

use std::sync::Arc;

use banger_api::{AvailableImage, AvailableImages, CatalogFailure, ErrorBody, Presence};
use banger_catalog as catalog;
use banger_core::{Context, Vms};
use banger_image::ImageRecord;
use banger_model::body;
use banger_request::blocking;
use banger_settings::catalogs;

use super::catalogs::{Error, fetcher};
use super::offered;

/// The images that catalogs offer.
pub async fn list(vms: &Arc<Vms>) -> Result<AvailableImages, ErrorBody> {
    let context = Arc::clone(vms.context());
    blocking("reading the catalogs", move || available(&context)).await
}

fn available(context: &Context) -> Result<AvailableImages, Error> {
    let here = context.images.list().map_err(catalog::Error::Image)?;
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
                    image: offered::image(image),
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
