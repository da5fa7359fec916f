//! Images of the store.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use banger_api::{
    ErrorBody, Image, ImageImport, ImageInspection, ImageRegister, ImageTag, ImageUpload, KernelImport,
    Progress, VmCommit,
};
use banger_core::{Context, Vms, Wanted};
use banger_image::ImageRecord;
use banger_kernel::KernelRecord;
use banger_model::{Described, ImageName, KernelName, chain};
use banger_request::{Reporter, blocking};
use banger_worker::Job;
use tokio::io::AsyncRead;

use super::chosen::{self, CannotChoose, Chosen};
use super::in_use;

/// Every image, by name.
pub async fn list(vms: &Arc<Vms>) -> Result<Vec<Image>, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("reading the images", move || {
        let records = vms.context().images.list()?;
        let chosen = Chosen::image(vms.context())?;
        let images = records.into_iter().map(|record| view(&vms, record, &chosen));
        Ok::<_, banger_image::Error>(images.collect())
    })
    .await
}

/// The image of this name.
pub async fn show(vms: &Arc<Vms>, name: ImageName) -> Result<Image, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("reading an image", move || {
        let record = vms.context().images.get(&name)?;
        let chosen = Chosen::image(vms.context())?;
        Ok::<_, banger_image::Error>(view(&vms, record, &chosen))
    })
    .await
}

/// Makes an image the one that VMs boot when none is named.
pub async fn set_default(vms: &Arc<Vms>, name: ImageName) -> Result<Image, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("choosing an image", move || {
        let context = vms.context();
        let configured = context.config().ok().and_then(|config| config.default_image);
        chosen::refuse_configured("default_image", configured.as_ref(), &name)?;
        context.images.set_default(&name)?;
        Ok::<_, CannotChoose>(viewed(&vms, context.images.get(&name)?))
    })
    .await
}

/// Takes a name away, and with the last name the image. One that VMs boot is not deleted.
pub async fn delete(vms: &Arc<Vms>, name: ImageName) -> Result<(), ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("removing an image", move || {
        let images = &vms.context().images;
        let record = images.get(&name).described()?;
        let names = images.names_of(&record.id).described()?;
        // With another name left, the image itself stays.
        if names.iter().all(|other| *other == name) {
            in_use::refuse("image", &name, vms.users_of_image(&record.id)).described()?;
        }
        images.delete(&name).described()?;
        sweep(&vms);
        Ok::<_, ErrorBody>(())
    })
    .await
}

/// Imports an image from a file or a directory of this host.
pub async fn import(vms: &Arc<Vms>, request: ImageImport, say: &Reporter) -> Result<Image, ErrorBody> {
    let record = vms.context().workers.run(Job::Import(request), say).await?;
    Ok(imported(vms, record).await)
}

/// Imports an image from a tar archive that a client sends.
pub async fn upload(
    vms: &Arc<Vms>,
    name: ImageName,
    options: ImageUpload,
    tar: Pin<Box<dyn AsyncRead + Send>>,
    say: &Reporter,
) -> Result<Image, ErrorBody> {
    let job = Job::Upload { name, options };
    let record = vms.context().workers.feed(job, say, tar).await?;
    Ok(imported(vms, record).await)
}

/// An image that is here now. One that it replaced may be used by no VM.
async fn imported(vms: &Arc<Vms>, record: ImageRecord) -> Image {
    let sweeping = Arc::clone(vms);
    // It says what fails itself.
    let _ = tokio::task::spawn_blocking(move || sweep(&sweeping)).await;
    viewed(vms, record)
}

/// Makes file systems of this host an image, where they are.
pub async fn register(vms: &Arc<Vms>, request: ImageRegister) -> Result<Image, ErrorBody> {
    let context = Arc::clone(vms.context());
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
    Ok(viewed(vms, record))
}

/// The kernel that a registered image gets, imported if it comes along.
async fn kernel_of(context: &Arc<Context>, request: &ImageRegister) -> Result<Option<KernelName>, ErrorBody> {
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
        let record: KernelRecord = context
            .workers
            .run(Job::Kernel(import), &Reporter::default())
            .await?;
        return Ok(Some(record.name));
    }
    let Some(name) = request.kernel_ref.clone() else {
        return Ok(None);
    };
    let context = Arc::clone(context);
    let record = blocking("reading a kernel", move || context.kernels.get(&name)).await?;
    Ok(Some(record.name))
}

/// Copies the files of an image that was registered into the store.
pub async fn promote(vms: &Arc<Vms>, name: ImageName, say: Reporter) -> Result<Image, ErrorBody> {
    import_with(vms, say, move |context, progress| {
        context.images.promote(&name, progress)
    })
    .await
}

/// Makes an image of what a VM has changed.
pub async fn commit(vms: &Arc<Vms>, vm: &str, request: VmCommit, say: &Reporter) -> Result<Image, ErrorBody> {
    let wanted = Wanted {
        name: request.image,
        kernel: request.kernel,
        force: request.force,
    };
    let handle = vms.find(vm).described()?;
    let record = handle.commit(vms.context(), wanted, say).await?;
    Ok(viewed(vms, record))
}

/// Gives an image another name.
pub async fn tag(vms: &Arc<Vms>, name: ImageName, request: ImageTag) -> Result<Image, ErrorBody> {
    let context = Arc::clone(vms.context());
    let record = blocking("naming an image", move || {
        context.images.tag(&name, &request.name, request.force)
    })
    .await?;
    Ok(viewed(vms, record))
}

/// An image with the documents that it came with.
pub async fn inspect(vms: &Arc<Vms>, name: ImageName) -> Result<ImageInspection, ErrorBody> {
    let context = Arc::clone(vms.context());
    let (record, [manifest, configuration]) = blocking("reading an image", move || {
        let record = context.images.get(&name)?;
        let documents = context.images.documents(&record)?;
        Ok::<_, banger_image::Error>((record, documents))
    })
    .await?;
    Ok(ImageInspection {
        image: viewed(vms, record),
        manifest: manifest.unwrap_or_default(),
        configuration: configuration.unwrap_or_default(),
    })
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
            say.report(Progress::Bytes {
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
    .await?;
    Ok(viewed(vms, record))
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Removes the files of images that have no name and no VM any more.
pub fn sweep(vms: &Vms) {
    if let Err(error) = vms.context().images.sweep(&vms.images_in_use()) {
        tracing::warn!(error = %chain(&error), "could not remove unused images");
    }
}

/// The image as clients see it, after something was done with it. A store that cannot say which one is taken has none.
pub(crate) fn viewed(vms: &Vms, record: ImageRecord) -> Image {
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
        config: record.config,
        origin: record.origin,
        created: i64::try_from(record.created)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .unwrap_or_default()
            .to_string(),
        bytes: record.bytes,
    }
}
