//! Pulling a kernel from a catalog into the store.

use std::path::Path;

use banger_fetch::Fetcher;
use banger_image::Progress;
use banger_kernel::{KernelRecord, KernelStore, bytes_in, now, version_of};
use banger_model::KernelName;
use banger_store::files;

use crate::artifact;
use crate::configured::Catalog;
use crate::error::Error;
use crate::fault::Fault;
use crate::find::{Found, find};
use crate::offered::CatalogKernel;

/// What is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// The kernel's name, in the catalog and here.
    pub name: KernelName,
    /// Replace another kernel of this name.
    pub force: bool,
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// The kernel is here now.
    New(KernelRecord),
    /// It was here already, from the same artifact.
    Here(KernelRecord),
}

/// Pulls a kernel from one of `catalogs` into the store. The artifact is verified as it comes, and unpacked only when all of it is
/// what the catalog vouches for. `note` is told what goes on. On failure nothing of it is left.
///
/// # Errors
/// When no catalog, or more than one, has such a kernel; when what came is not what the catalog says; when another
/// kernel of that name is here.
pub fn pull_kernel(
    store: &KernelStore,
    catalogs: &[Catalog],
    options: &PullOptions,
    fetcher: &Fetcher,
    progress: Progress<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<Pulled, Error> {
    let found = find::<CatalogKernel>(catalogs, options.name.as_str(), fetcher, note)?;
    pull_found(store, found, options.force, fetcher, progress)
}

/// Pulls a kernel that was found.
pub(crate) fn pull_found(
    store: &KernelStore,
    found: Found<'_, CatalogKernel>,
    force: bool,
    fetcher: &Fetcher,
    progress: Progress<'_>,
) -> Result<Pulled, Error> {
    let kernel = &found.offer;
    let here = store
        .list()?
        .into_iter()
        .find(|record| record.name == kernel.name);
    if let Some(here) = here {
        if !force && here.artifact == Some(kernel.sha256) {
            return Ok(Pulled::Here(here));
        }
        store.refuse_taken(&kernel.name, force)?;
    }
    let scratch = store.begin()?;
    let path = scratch.path().join("artifact");
    found.download(fetcher, &path, progress)?;
    let making = store.begin()?;
    let record = artifact::unpack(&kernel.name, &path, making.path())?;
    let place = store.place(&kernel.name);
    let record = complete(record, found, making.path(), &place)?;
    store.install(making, &record, force)?;
    Ok(Pulled::New(record))
}

/// The record of a kernel that lies in `dir` and will be in `place`, once it was checked that it is a whole kernel.
fn complete(
    record: KernelRecord,
    found: Found<'_, CatalogKernel>,
    dir: &Path,
    place: &Path,
) -> Result<KernelRecord, Error> {
    let Found {
        catalog,
        offer: kernel,
    } = found;
    let fault = |fault| Error::Artifact {
        name: kernel.name.to_string(),
        fault,
    };
    let missing = |name: &str| fault(Fault::Missing(name.to_owned()));
    if !dir.join("vmlinux").exists() {
        return Err(missing("vmlinux"));
    }
    let version = version_of(&dir.join("vmlinux"))?;
    if version != kernel.version {
        let expected = kernel.version.clone();
        return Err(fault(Fault::Version {
            found: version,
            expected,
        }));
    }
    for module in &record.modules {
        if !artifact::is_file_name(module) || !dir.join("modules").join(module).is_file() {
            return Err(missing(&format!("modules/{module}")));
        }
    }
    let file = |name: &str| dir.join(name).exists().then(|| place.join(name));
    Ok(KernelRecord {
        name: kernel.name,
        id: files::random_id()?,
        version,
        source: format!("catalog {} ({})", catalog.name, catalog.location.document()),
        vmlinux: place.join("vmlinux"),
        vmlinuz: file("vmlinuz"),
        initrd: file("initrd"),
        modules: record.modules,
        modules_dir: place.join("modules"),
        append: kernel.append,
        max_vcpus: kernel.max_vcpus,
        supports: record.supports,
        artifact: Some(kernel.sha256),
        bytes: bytes_in(dir),
        created: now(),
    })
}
