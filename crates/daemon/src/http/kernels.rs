//! Kernels over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use banger_api::{Kernel, KernelImport, KernelSource};
use banger_image::{KernelOptions, KernelRecord, Source};
use banger_model::KernelName;

use super::answer::{Body, Refused, blocking, named};
use super::chosen::{CannotChoose, Chosen};
use super::{App, chosen, events, in_use};
use crate::progress::Reporter;
use crate::vm::Vms;
use crate::worker::{self, Job, Stores};

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Kernel>>, Refused> {
    let context = Arc::clone(app.vms.context());
    let (records, chosen) = blocking("reading the kernels", move || {
        let records = context.kernels.list()?;
        let chosen = Chosen::kernel(&context)?;
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

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Kernel>, Refused> {
    let name: KernelName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let (record, chosen) = blocking("reading a kernel", move || {
        let record = context.kernels.get(&name)?;
        Ok::<_, banger_image::Error>((record, Chosen::kernel(&context)?))
    })
    .await?;
    Ok(Json(view(&app.vms, record, &chosen)))
}

pub(crate) async fn set_default(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Kernel>, Refused> {
    let name: KernelName = named(&name)?;
    let vms = Arc::clone(&app.vms);
    let kernel = blocking("choosing a kernel", move || {
        let context = vms.context();
        let configured = context.config().ok().and_then(|config| config.default_kernel);
        chosen::refuse_configured("default_kernel", configured.as_ref(), &name)?;
        context.kernels.set_default(&name)?;
        Ok::<_, CannotChoose>(viewed(&vms, context.kernels.get(&name)?))
    })
    .await?;
    Ok(Json(kernel))
}

pub(crate) async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    let name: KernelName = named(&name)?;
    in_use::refuse("kernel", &name, app.vms.users_of_kernel(&name))?;
    let context = Arc::clone(app.vms.context());
    blocking("removing a kernel", move || context.kernels.remove(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn import(State(app): State<App>, Body(request): Body<KernelImport>) -> Response {
    events::respond(|say| async move {
        let record = worker::run(app.vms.context(), Job::Kernel(request), &say).await?;
        Ok(viewed(&app.vms, record))
    })
}

/// Imports a kernel on this thread.
pub(super) fn import_now(
    here: &Stores,
    request: KernelImport,
    say: &Reporter,
) -> Result<KernelRecord, banger_image::Error> {
    let options = KernelOptions {
        append: request.append,
        max_vcpus: request.max_vcpus,
        force: request.force,
    };
    let source = source(request.source);
    here.kernels
        .import(&request.name, &source, &options, &mut |note| say.note(note))
}

fn source(source: KernelSource) -> Source {
    match source {
        KernelSource::Package(package) => Source::Package(package),
        KernelSource::Deb(path) => Source::Deb(path),
        KernelSource::Host => Source::Host,
        KernelSource::Files(files) => Source::Files {
            vmlinux: files.vmlinux,
            vmlinuz: files.vmlinuz,
            initrd: files.initrd,
            modules: files.modules,
            config: files.config,
        },
    }
}

/// The kernel as clients see it, after something was done with it. A store that cannot say which one is taken has none.
pub(super) fn viewed(vms: &Vms, record: KernelRecord) -> Kernel {
    view(vms, record, &Chosen::kernel(vms.context()).unwrap_or_default())
}

/// The kernel as clients see it, of which this one is `chosen` when none is named.
fn view(vms: &Vms, record: KernelRecord, chosen: &Chosen<KernelName>) -> Kernel {
    Kernel {
        used_by: vms.users_of_kernel(&record.name),
        default: chosen.is(&record.name),
        name: record.name,
        version: record.version,
        source: record.source,
        modules: record.modules,
        initrd: record.initrd.is_some(),
        append: record.append,
        max_vcpus: record.max_vcpus,
        supports: record.supports,
        bytes: record.bytes,
    }
}
