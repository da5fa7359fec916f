//! Kernels of the store.

use std::sync::Arc;

use banger_api::{ErrorBody, Kernel, KernelImport, KernelSource};
use banger_core::Vms;
use banger_kernel::{KernelOptions, KernelRecord, Source};
use banger_model::{Described, KernelName};
use banger_request::{Reporter, blocking};
use banger_worker::{Job, Stores};

use super::chosen::{self, CannotChoose, Chosen};
use super::in_use;

/// Every kernel, by name.
pub async fn list(vms: &Arc<Vms>) -> Result<Vec<Kernel>, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("reading the kernels", move || {
        let records = vms.context().kernels.list()?;
        let chosen = Chosen::kernel(vms.context())?;
        let kernels = records.into_iter().map(|record| view(&vms, record, &chosen));
        Ok::<_, banger_kernel::Error>(kernels.collect())
    })
    .await
}

/// The kernel of this name.
pub async fn show(vms: &Arc<Vms>, name: KernelName) -> Result<Kernel, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("reading a kernel", move || {
        let record = vms.context().kernels.get(&name)?;
        let chosen = Chosen::kernel(vms.context())?;
        Ok::<_, banger_kernel::Error>(view(&vms, record, &chosen))
    })
    .await
}

/// Makes a kernel the one that VMs boot whose image names none.
pub async fn set_default(vms: &Arc<Vms>, name: KernelName) -> Result<Kernel, ErrorBody> {
    let vms = Arc::clone(vms);
    blocking("choosing a kernel", move || {
        let context = vms.context();
        let configured = context.config().ok().and_then(|config| config.default_kernel);
        chosen::refuse_configured("default_kernel", configured.as_ref(), &name)?;
        context.kernels.set_default(&name)?;
        Ok::<_, CannotChoose>(viewed(&vms, context.kernels.get(&name)?))
    })
    .await
}

/// Deletes a kernel that no VM boots.
pub async fn delete(vms: &Arc<Vms>, name: KernelName) -> Result<(), ErrorBody> {
    in_use::refuse("kernel", &name, vms.users_of_kernel(&name)).described()?;
    let context = Arc::clone(vms.context());
    blocking("removing a kernel", move || context.kernels.remove(&name)).await
}

/// Imports a kernel.
pub async fn import(vms: &Arc<Vms>, request: KernelImport, say: &Reporter) -> Result<Kernel, ErrorBody> {
    let record = vms.context().workers.run(Job::Kernel(request), say).await?;
    Ok(viewed(vms, record))
}

/// Imports a kernel on this thread.
pub(super) fn import_now(
    here: &Stores,
    request: KernelImport,
    say: &Reporter,
) -> Result<KernelRecord, banger_kernel::Error> {
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
