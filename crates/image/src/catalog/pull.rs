//! Pulling a kernel from a catalog into the store.

use std::io::Write;
use std::path::Path;

use banger_model::KernelName;

use super::{Catalog, CatalogKernel, Document, Error, Fault, artifact};
use crate::digest::Digesting;
use crate::fetch::Fetcher;
use crate::files::{self, OfFile};
use crate::images::Progress;
use crate::kernel::{self, KernelRecord, KernelStore};

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

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

impl KernelStore {
    /// Pulls a kernel from one of `catalogs`. The artifact is verified as it comes, and unpacked only when all of it is
    /// what the catalog vouches for. `note` is told what goes on. On failure nothing of it is left.
    ///
    /// # Errors
    /// When no catalog, or more than one, has such a kernel; when what came is not what the catalog says; when another
    /// kernel of that name is here.
    pub fn pull(
        &self,
        catalogs: &[Catalog],
        options: &PullOptions,
        fetcher: &Fetcher,
        progress: Progress<'_>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Pulled, Error> {
        let (catalog, kernel) = find(catalogs, &options.name, fetcher, note)?;
        let here = self.list()?.into_iter().find(|record| record.name == kernel.name);
        if let Some(here) = here {
            if !options.force && here.artifact == Some(kernel.sha256) {
                return Ok(Pulled::Here(here));
            }
            self.refuse_taken(&kernel.name, options.force)?;
        }
        let scratch = self.begin()?;
        let path = scratch.path().join("artifact");
        download(catalog, &kernel, fetcher, &path, progress)?;
        let making = self.begin()?;
        let record = artifact::unpack(&kernel.name, &path, making.path())?;
        let place = self.place(&kernel.name);
        let record = complete(record, catalog, kernel, making.path(), &place)?;
        self.install(making, &record, options.force)?;
        Ok(Pulled::New(record))
    }
}

/// The one kernel of this name for this host. A catalog that cannot be read is told, and matters only when no other has
/// the kernel.
fn find<'a>(
    catalogs: &'a [Catalog],
    name: &KernelName,
    fetcher: &Fetcher,
    note: &mut dyn FnMut(&str),
) -> Result<(&'a Catalog, CatalogKernel), Error> {
    let (mut read, mut failed) = (Vec::new(), Vec::new());
    for catalog in catalogs {
        match catalog.read(fetcher) {
            Ok(document) => read.push((catalog, document)),
            Err(error) => failed.push((catalog, error)),
        }
    }
    let found = read.iter().filter_map(|(catalog, document)| {
        let kernel = document.kernel(name, std::env::consts::ARCH)?;
        Some((*catalog, kernel.clone()))
    });
    let mut found: Vec<_> = found.collect();
    if found.len() > 1 {
        return Err(Error::Ambiguous {
            name: name.clone(),
            catalogs: found.iter().map(|(catalog, _)| catalog.name.clone()).collect(),
        });
    }
    match (found.pop(), failed) {
        (Some(found), failed) => {
            for (catalog, error) in failed {
                note(&format!(
                    "catalog {} cannot be read: {}",
                    catalog.name,
                    chain(&error)
                ));
            }
            Ok(found)
        }
        (None, failed) => match failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Err(not_found(&read, name)),
        },
    }
}

/// The message of an error with those of its sources.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let messages = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    messages.collect::<Vec<_>>().join(": ")
}

fn not_found(read: &[(&Catalog, Document)], name: &KernelName) -> Error {
    for (catalog, document) in read {
        let for_others = document.kernels.iter().filter(|kernel| kernel.name == *name);
        let for_machines: Vec<_> = for_others.map(|kernel| kernel.arch.clone()).collect();
        if !for_machines.is_empty() {
            return Error::OtherMachine {
                name: name.clone(),
                catalog: catalog.name.clone(),
                for_machines,
                host: std::env::consts::ARCH,
            };
        }
    }
    if read.is_empty() {
        return Error::NoCatalogs;
    }
    let all = read.iter().flat_map(|(_, document)| &document.kernels);
    Error::NoKernel {
        name: name.clone(),
        catalogs: read.iter().map(|(catalog, _)| catalog.name.clone()).collect(),
        present: all.map(|kernel| kernel.name.to_string()).collect(),
    }
}

/// Brings the artifact to `path`, and verifies length and digest on the way.
fn download(
    catalog: &Catalog,
    kernel: &CatalogKernel,
    fetcher: &Fetcher,
    path: &Path,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let place = catalog.location.document().artifact(&kernel.location);
    let mut stream = place.open(fetcher, kernel.bytes)?;
    let mut to = Digesting::new(files::make_file(path)?);
    let mut buffer = vec![0; CHUNK];
    loop {
        if progress(to.bytes(), Some(kernel.bytes)).is_break() {
            return Err(crate::Error::Cancelled.into());
        }
        let read = stream.read(&mut buffer)?;
        let more = to.bytes() + read as u64 > kernel.bytes;
        if more || read == 0 && to.bytes() < kernel.bytes {
            return Err(Error::Length {
                artifact: place.to_string(),
                bytes: if more { kernel.bytes } else { to.bytes() },
                more,
                expected: kernel.bytes,
            });
        }
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).of("write", path)?;
    }
    let (_, found) = to.finish();
    if found != kernel.sha256 {
        return Err(Error::Digest {
            artifact: place.to_string(),
            found,
            expected: kernel.sha256,
        });
    }
    Ok(())
}

/// The record of a kernel that lies in `dir` and will be in `place`, once it was checked that it is a whole kernel.
fn complete(
    record: KernelRecord,
    catalog: &Catalog,
    kernel: CatalogKernel,
    dir: &Path,
    place: &Path,
) -> Result<KernelRecord, Error> {
    let fault = |fault| Error::Artifact {
        name: kernel.name.clone(),
        fault,
    };
    let missing = |name: &str| fault(Fault::Missing(name.to_owned()));
    if !dir.join("vmlinux").exists() {
        return Err(missing("vmlinux"));
    }
    let found = kernel::version_of(&dir.join("vmlinux"))?;
    if found != kernel.version {
        let expected = kernel.version.clone();
        return Err(fault(Fault::Version { found, expected }));
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
        version: found,
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
        bytes: kernel::bytes_in(dir),
        created: kernel::now(),
    })
}
