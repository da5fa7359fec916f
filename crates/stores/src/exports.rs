//! Images that leave, and how they differ.

use std::sync::Arc;

use banger_api::{ErrorBody, ImageDifference, ImageExport, ImageExported};
use banger_core::Vms;
use banger_image as image;
use banger_model::{Describe, Description, ErrorCode, ImageName, body};
use banger_request::{Reporter, blocking};
use banger_worker::{Job, Stores};
use bytes::Bytes;
use futures_util::Stream;

use super::progress::progress;

/// Two images cannot be compared.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] image::Error),
    /// There is nothing to compare with.
    #[error("image `{0}` has no base image")]
    NoBase(ImageName),
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Store(source) => source.describe(),
            Self::NoBase(name) => Description::hinted(
                ErrorCode::InvalidRequest,
                format!("specify a second image after `{name}`; `banger image list` lists the images"),
            ),
        }
    }
}

/// Writes an image to a file of this host, as an OCI archive.
pub async fn export(
    vms: &Arc<Vms>,
    name: ImageName,
    request: ImageExport,
    say: &Reporter,
) -> Result<ImageExported, ErrorBody> {
    vms.context()
        .workers
        .run(Job::Export { name, request }, say)
        .await
}

/// Exports an image on this thread.
pub(super) fn export_now(
    here: &Stores,
    name: &ImageName,
    request: ImageExport,
    say: &Reporter,
) -> Result<ImageExported, ErrorBody> {
    let refused = |error: image::Error| body(&error);
    let record = here.images.get(name).map_err(refused)?;
    let mut progress = progress(say, format!("exporting {name}"));
    let ImageExport {
        path,
        compression,
        force,
    } = request;
    let exported = here
        .images
        .export(&record, &path, compression, force, &mut progress);
    let exported = exported.map_err(|error| body(&error))?;
    Ok(ImageExported {
        path: exported.path,
        bytes: exported.bytes,
        manifest: format!("sha256:{}", exported.manifest),
        layers: exported.layers,
    })
}

/// How an image differs from another one, or from the one that it was made on top of: a JSON list, as it is found.
pub async fn diff(
    vms: &Arc<Vms>,
    name: ImageName,
    other: Option<ImageName>,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + use<>, ErrorBody> {
    let context = Arc::clone(vms.context());
    let (image, other) = blocking("finding the images", move || {
        let new = context.images.get(&name)?;
        let old = match (&other, &new.base) {
            (Some(other), _) => context.images.get(other)?,
            (None, Some(base)) => context.images.generation(base)?,
            (None, None) => return Err(Error::NoBase(name)),
        };
        Ok((Box::new(new), Box::new(old)))
    })
    .await?;
    vms.context().workers.stream(Job::Diff { image, other }).await
}

/// A difference as clients see it.
pub(super) fn told(difference: image::Difference) -> ImageDifference {
    ImageDifference {
        path: format!("/{}", String::from_utf8_lossy(&difference.path)),
        kind: difference.kind,
        aspects: difference.aspects,
    }
}
