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
use super::{App, events, in_use};
use crate::vm::{Context, Reporter, Vms};

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Kernel>>, Refused> {
    let context = Arc::clone(app.vms.context());
    let records = blocking("reading the kernels", move || context.kernels.list()).await?;
    let only = records.len() == 1;
    Ok(Json(
        records
            .into_iter()
            .map(|record| view(&app.vms, record, only))
            .collect(),
    ))
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Kernel>, Refused> {
    let name: KernelName = named(&name)?;
    let context = Arc::clone(app.vms.context());
    let (record, only) = blocking("reading a kernel", move || {
        let only = context.kernels.list()?.len() == 1;
        context.kernels.get(&name).map(|record| (record, only))
    })
    .await?;
    Ok(Json(view(&app.vms, record, only)))
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
        let context = Arc::clone(app.vms.context());
        let record = blocking("importing a kernel", move || import_now(&context, request, &say))
            .await
            .map_err(|refused| refused.0)?;
        Ok(view(&app.vms, record, false))
    })
}

/// Imports a kernel on this thread.
pub(crate) fn import_now(
    context: &Context,
    request: KernelImport,
    say: &Reporter,
) -> Result<KernelRecord, banger_image::Error> {
    let options = KernelOptions {
        append: request.append,
        max_vcpus: request.max_vcpus,
        force: request.force,
    };
    let source = source(request.source);
    context
        .kernels
        .import(&request.name, &source, &options, &mut |note| say.note(note))
}

fn source(source: KernelSource) -> Source {
    match source {
        KernelSource::Package(package) => Source::Package(package),
        KernelSource::Deb(path) => Source::Deb(path),
        KernelSource::Host => Source::Host,
        KernelSource::Files {
            vmlinux,
            vmlinuz,
            initrd,
            modules,
            config,
        } => Source::Files {
            vmlinux,
            vmlinuz,
            initrd,
            modules,
            config,
        },
    }
}

/// The kernel as clients see it; `only` says that it is the only one, and so the default.
fn view(vms: &Vms, record: KernelRecord, only: bool) -> Kernel {
    // A listing does not fail for what is wrong in the configuration; `doctor` and what makes VMs tell it.
    let configured = vms
        .context()
        .config()
        .ok()
        .and_then(|config| config.default_kernel);
    Kernel {
        used_by: vms.users_of_kernel(&record.name),
        default: configured.map_or(only, |name| name == record.name),
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
