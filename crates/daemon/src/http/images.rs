//! Images over HTTP.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::body::Body as RequestBody;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use banger_api::{
    ErrorBody, Image, ImageConfig, ImageImport, ImageInspection, ImageOrigin, ImageRegister, ImageTag,
    ImageUpload, KernelImport, Progress,
};
use banger_image::{ImageRecord, KernelRecord};
use banger_model::{ImageName, KernelName};
use futures_util::TryStreamExt;
use tokio_util::io::StreamReader;

use super::answer::{Asked, Body, Refused, blocking, named};
use super::chosen::{CannotChoose, Chosen};
use super::{App, chosen, events, in_use};
use crate::error::body;
use crate::progress::Reporter;
use crate::vm::{Context, Vms};
use crate::worker::{self, Job};

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Image>>, Refused> {
    let context = Arc::clone(app.vms.context());
    let (records, chosen) = blocking("reading the images", move || {
        let records = context.images.list()?;
        let chosen = Chosen::image(&context)?;
        Ok::<_, banger_image::Error>((records, chosen))
    })
    .await?;
    Ok(Json(
        records
            .into_iter()
            .map(|record| view(&app.vms, record, &chosen))
            .collect(),
    ))
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Image>, Refused> {
    let name: ImageName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let (record, chosen) = blocking("reading an image", move || {
        let record = context.images.get(&name)?;
        Ok::<_, banger_image::Error>((record, Chosen::image(&context)?))
    })
    .await?;
    Ok(Json(view(&app.vms, record, &chosen)))
}

pub(crate) async fn set_default(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Image>, Refused> {
    let name: ImageName = named(&name)?;
    let vms = Arc::clone(&app.vms);
    let image = blocking("choosing an image", move || {
        let context = vms.context();
        let configured = context.config().ok().and_then(|config| config.default_image);
        chosen::refuse_configured("default_image", configured.as_ref(), &name)?;
        context.images.set_default(&name)?;
        Ok::<_, CannotChoose>(viewed(&vms, context.images.get(&name)?))
    })
    .await?;
    Ok(Json(image))
}

pub(crate) async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    let name: ImageName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let vms = Arc::clone(&app.vms);
    blocking("removing an image", move || {
        let record = context.images.get(&name).map_err(|error| body(&error))?;
        let names = context
            .images
            .names_of(&record.id)
            .map_err(|error| body(&error))?;
        // With another name left, the image itself stays.
        if names.iter().all(|other| *other == name) {
            in_use::refuse("image", &name, vms.users_of_image(&record.id)).map_err(|error| body(&error))?;
        }
        context.images.delete(&name).map_err(|error| body(&error))?;
        sweep(&vms);
        Ok::<_, ErrorBody>(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn import(State(app): State<App>, Body(request): Body<ImageImport>) -> Response {
    events::respond(|say| async move {
        let record = worker::run(app.vms.context(), Job::Import(request), &say).await?;
        Ok(imported(&app.vms, record).await)
    })
}

pub(crate) async fn upload(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(options): Asked<ImageUpload>,
    tar: RequestBody,
) -> Result<Response, Refused> {
    let name: ImageName = named(&name)?;
    let tar = StreamReader::new(tar.into_data_stream().map_err(std::io::Error::other));
    Ok(events::respond(|say| async move {
        let job = Job::Upload { name, options };
        let record = worker::feed(app.vms.context(), job, &say, Box::pin(tar)).await?;
        Ok(imported(&app.vms, record).await)
    }))
}

/// An image that is here now. One that it replaced may be used by no VM.
async fn imported(vms: &Arc<Vms>, record: ImageRecord) -> Image {
    let sweeping = Arc::clone(vms);
    // It says what fails itself.
    let _ = tokio::task::spawn_blocking(move || sweep(&sweeping)).await;
    viewed(vms, record)
}

pub(crate) async fn register(
    State(app): State<App>,
    Body(request): Body<ImageRegister>,
) -> Result<Json<Image>, Refused> {
    let context = Arc::clone(app.vms.context());
    let kernel = kernel_of(&context, &request).await?;
    let record = blocking("registering an image", move || {
        let ImageRegister {
            name,
            rootfs,
            work_seed,
            ..
        } = request;
        context
            .images
            .register(&name, &rootfs, work_seed.as_deref(), kernel, false)
    })
    .await?;
    Ok(Json(viewed(&app.vms, record)))
}

/// The kernel that a registered image gets, imported if it comes along.
async fn kernel_of(context: &Arc<Context>, request: &ImageRegister) -> Result<Option<KernelName>, Refused> {
    if let Some(source) = &request.kernel {
        let import = KernelImport {
            name: request
                .name
                .as_str()
                .parse()
                .expect("images and kernels have the same rule for names"),
            source: source.clone(),
            append: Vec::new(),
            max_vcpus: None,
            force: false,
        };
        let record: KernelRecord = worker::run(context, Job::Kernel(import), &Reporter::default()).await?;
        return Ok(Some(record.name));
    }
    let Some(name) = request.kernel_ref.clone() else {
        return Ok(None);
    };
    let context = Arc::clone(context);
    let record = blocking("reading a kernel", move || context.kernels.get(&name)).await?;
    Ok(Some(record.name))
}

pub(crate) async fn promote(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Refused> {
    let name: ImageName = named(&name)?;
    Ok(events::respond(|say| async move {
        let vms = Arc::clone(&app.vms);
        import_with(&vms, say, move |context, progress| {
            context.images.promote(&name, progress)
        })
        .await
    }))
}

pub(crate) async fn tag(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(request): Body<ImageTag>,
) -> Result<Json<Image>, Refused> {
    let name: ImageName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let record = blocking("naming an image", move || {
        context.images.tag(&name, &request.name, request.force)
    })
    .await?;
    Ok(Json(viewed(&app.vms, record)))
}

pub(crate) async fn inspect(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ImageInspection>, Refused> {
    let name: ImageName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let (record, [manifest, configuration]) = blocking("reading an image", move || {
        let record = context.images.get(&name)?;
        let documents = context.images.documents(&record)?;
        Ok::<_, banger_image::Error>((record, documents))
    })
    .await?;
    Ok(Json(ImageInspection {
        image: viewed(&app.vms, record),
        manifest: manifest.unwrap_or_default(),
        configuration: configuration.unwrap_or_default(),
    }))
}

type OnProgress<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// Runs an import on a thread of its own. Dropping the future makes the import stop at its next word of progress, and
/// it leaves nothing then.
async fn import_with(
    vms: &Arc<Vms>,
    say: Reporter,
    work: impl FnOnce(&Context, OnProgress<'_>) -> Result<ImageRecord, banger_image::Error> + Send + 'static,
) -> Result<Image, ErrorBody> {
    let left = Arc::new(AtomicBool::new(false));
    let _leaving = SetOnDrop(Arc::clone(&left));
    let on_thread = Arc::clone(vms);
    let record = blocking("importing an image", move || {
        let mut progress = |done, total| {
            say.say(Progress::Bytes {
                what: "importing".to_owned(),
                done,
                total,
            });
            if left.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let record = work(on_thread.context(), &mut progress)?;
        // An image that this one replaced may be used by no VM.
        sweep(&on_thread);
        Ok::<_, banger_image::Error>(record)
    })
    .await
    .map_err(|refused| refused.0)?;
    Ok(viewed(vms, record))
}

pub(super) struct SetOnDrop(pub(super) Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Removes the files of images that have no name and no VM any more.
pub(crate) fn sweep(vms: &Vms) {
    if let Err(error) = vms.context().images.sweep(&vms.images_in_use()) {
        tracing::warn!(error = %crate::error::chain(&error), "could not remove unused images");
    }
}

/// The image as clients see it, after something was done with it. A store that cannot say which one is taken has none.
pub(super) fn viewed(vms: &Vms, record: ImageRecord) -> Image {
    view(vms, record, &Chosen::image(vms.context()).unwrap_or_default())
}

/// The image as clients see it, of which this one is `chosen` when none is named.
fn view(vms: &Vms, record: ImageRecord, chosen: &Chosen<ImageName>) -> Image {
    Image {
        used_by: vms.users_of_image(&record.id),
        default: chosen.is(&record.name),
        name: record.name,
        managed: record.managed,
        layers: record.layers.into_iter().map(|layer| layer.path).collect(),
        work_seed: record.work_seed,
        kernel: record.kernel,
        os: record.os,
        init: record.init,
        config: record.config.map(|config| ImageConfig {
            env: config.env,
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            user: config.user,
            workdir: config.workdir,
            labels: config.labels,
            exposed_ports: config.exposed_ports,
            stop_signal: config.stop_signal,
        }),
        origin: record.origin.map(|origin| ImageOrigin {
            reference: origin.reference,
            platform: origin.platform,
            digest: origin.digest,
        }),
        created: i64::try_from(record.created)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .unwrap_or_default()
            .to_string(),
        bytes: record.bytes,
    }
}
