//! Images that leave, and how they differ, over HTTP.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use banger_api::{
    Aspect, Compression, DifferenceKind, ImageDiff, ImageDifference, ImageExport, ImageExported, Progress,
};
use banger_image as image;
use banger_model::{ErrorCode, ImageName};

use super::answer::{Asked, Body, Refused, blocking, named};
use super::images::SetOnDrop;
use super::{App, events};
use crate::error::Describe;

/// Two images cannot be compared.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] image::Error),
    /// There is nothing to compare with.
    #[error("image `{0}` was not made on top of another one")]
    NoBase(ImageName),
}

impl Describe for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Store(source) => source.code(),
            Self::NoBase(_) => ErrorCode::InvalidRequest,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(source) => Describe::hints(source),
            Self::NoBase(name) => vec![format!("name a second one: `banger image diff {name} OTHER`")],
        }
    }

    fn log(&self) -> Option<String> {
        None
    }
}

pub(crate) async fn export(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ImageExport>,
) -> Result<Response, Refused> {
    let name: ImageName = named(&name)?;
    Ok(events::respond(|say| async move {
        let context = Arc::clone(app.vms.context());
        let left = Arc::new(AtomicBool::new(false));
        let _leaving = SetOnDrop(Arc::clone(&left));
        let exported = blocking("exporting an image", move || {
            let what = format!("exporting {name}");
            let mut progress = |done, total| {
                let what = what.clone();
                say.say(Progress::Bytes { what, done, total });
                match left.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let record = context.images.get(&name)?;
            let compression = match request.compression {
                Compression::Zstd => image::Compression::Zstd,
                Compression::Gzip => image::Compression::Gzip,
                Compression::None => image::Compression::None,
            };
            context
                .images
                .export(&record, &request.path, compression, request.force, &mut progress)
        })
        .await
        .map_err(|refused| refused.0)?;
        Ok(ImageExported {
            path: exported.path,
            bytes: exported.bytes,
            manifest: format!("sha256:{}", exported.manifest),
            layers: exported.layers,
        })
    }))
}

pub(crate) async fn diff(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<ImageDiff>,
) -> Result<Json<Vec<ImageDifference>>, Refused> {
    let name: ImageName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let differences = blocking("comparing images", move || {
        let new = context.images.get(&name)?;
        let old = match (&query.other, &new.base) {
            (Some(other), _) => context.images.get(other)?,
            (None, Some(base)) => context.images.generation(base)?,
            (None, None) => return Err(Error::NoBase(name)),
        };
        Ok(context.images.diff(&new, &old)?)
    })
    .await?;
    Ok(Json(differences.into_iter().map(told).collect()))
}

fn told(difference: image::Difference) -> ImageDifference {
    let (kind, aspects) = match difference.kind {
        image::DifferenceKind::Added => (DifferenceKind::Added, Vec::new()),
        image::DifferenceKind::Removed => (DifferenceKind::Removed, Vec::new()),
        image::DifferenceKind::Changed(aspects) => (DifferenceKind::Changed, aspects),
    };
    ImageDifference {
        path: format!("/{}", String::from_utf8_lossy(&difference.path)),
        kind,
        aspects: aspects.into_iter().map(aspect).collect(),
    }
}

fn aspect(aspect: image::Aspect) -> Aspect {
    match aspect {
        image::Aspect::Kind => Aspect::Kind,
        image::Aspect::Content => Aspect::Content,
        image::Aspect::Mode => Aspect::Mode,
        image::Aspect::Owner => Aspect::Owner,
        image::Aspect::Attributes => Aspect::Attributes,
    }
}
