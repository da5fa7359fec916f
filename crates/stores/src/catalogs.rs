//! Catalogs: which there are, the kernels that they offer, and publishing one.

use std::ops::ControlFlow;
use std::sync::Arc;

use banger_api::{
    AvailableKernel, AvailableKernels, Catalog, CatalogAdd, CatalogFailure, ErrorBody, ImagePublish,
    KernelPublish, KernelPull, KernelPulled, Paths, Presence, Progress, Published, SigningKey,
};
use banger_catalog as catalog;
use banger_core::{Context, Vms};
use banger_fetch::Fetcher;
use banger_kernel::KernelRecord;
use banger_model::{CatalogName, Describe, Described, Description, ErrorCode, body};
use banger_request::{Reporter, blocking};
use banger_settings::catalogs::Configured;
use banger_settings::{CatalogEntry, Config, catalogs};
use banger_worker::{Job, PulledKernel, Stores};
use tokio_util::sync::CancellationToken;

use super::{kernels as local, offered};

/// Every catalog that is configured.
pub async fn list(vms: &Arc<Vms>) -> Result<Vec<Catalog>, ErrorBody> {
    let context = Arc::clone(vms.context());
    let all = blocking("reading the catalogs", move || catalogs::list(&context.paths)).await?;
    Ok(all.into_iter().map(view).collect())
}

/// Why something with catalogs failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Which catalogs there are is not known.
    #[error(transparent)]
    Configured(#[from] catalogs::Error),
    /// A catalog, or the store.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl Describe for Error {
    fn describe(&self) -> Description {
        match self {
            Self::Configured(source) => source.describe(),
            Self::Catalog(source) => source.describe(),
        }
    }
}

/// A catalog that cannot be.
#[derive(Debug, thiserror::Error)]
enum BadCatalog {
    #[error("invalid catalog location")]
    Location(#[source] catalog::LocationFault),
    #[error("invalid catalog key")]
    Key(#[source] catalog::InvalidKey),
}

/// Adds a catalog to those that commands added.
pub async fn add(vms: &Arc<Vms>, request: CatalogAdd) -> Result<Catalog, ErrorBody> {
    let location = request.location.parse().map_err(BadCatalog::Location);
    let key = request.key.parse().map_err(BadCatalog::Key);
    let entry = CatalogEntry {
        name: request.name,
        location: location.described()?,
        key: key.described()?,
    };
    let context = Arc::clone(vms.context());
    let added = blocking("adding a catalog", move || catalogs::add(&context.paths, entry)).await?;
    Ok(view(added))
}

/// Removes a catalog that a command added.
pub async fn remove(vms: &Arc<Vms>, name: CatalogName) -> Result<(), ErrorBody> {
    let context = Arc::clone(vms.context());
    blocking("removing a catalog", move || {
        catalogs::remove(&context.paths, &name)
    })
    .await
}

/// The kernels that catalogs offer.
pub async fn kernels(vms: &Arc<Vms>) -> Result<AvailableKernels, ErrorBody> {
    let context = Arc::clone(vms.context());
    let left = CancellationToken::new();
    // Goes with the request, and then nothing is waited for any more.
    let _leaving = left.clone().drop_guard();
    blocking("reading the catalogs", move || available(&context, left)).await
}

fn available(context: &Context, left: CancellationToken) -> Result<AvailableKernels, Error> {
    let here = context.kernels.list().map_err(catalog::Error::Kernel)?;
    let fetcher = fetcher(&context.paths)?.until(left);
    let mut all = AvailableKernels {
        kernels: Vec::new(),
        failures: Vec::new(),
    };
    for configured in catalogs::list(&context.paths)? {
        let name = configured.entry.name.clone();
        match configured.entry.to_catalog(&context.paths).read(&fetcher) {
            Ok(document) => all
                .kernels
                .extend(document.kernels.into_iter().map(|kernel| AvailableKernel {
                    catalog: name.clone(),
                    here: presence(&kernel, &here),
                    kernel: offered::kernel(kernel),
                })),
            Err(error) => all.failures.push(CatalogFailure {
                catalog: name,
                error: body(&error),
            }),
        }
    }
    Ok(all)
}

fn presence(kernel: &catalog::CatalogKernel, here: &[KernelRecord]) -> Presence {
    if kernel.arch != std::env::consts::ARCH {
        return Presence::Foreign;
    }
    match here.iter().find(|record| record.name == kernel.name) {
        None => Presence::Absent,
        Some(record) if record.artifact == Some(kernel.sha256) => Presence::Here,
        Some(_) => Presence::Another,
    }
}

/// Pulls a kernel from a catalog.
pub async fn pull(vms: &Arc<Vms>, request: KernelPull, say: &Reporter) -> Result<KernelPulled, ErrorBody> {
    let pulled = vms.context().workers.run(Job::KernelPull(request), say).await?;
    let PulledKernel { record, was_here } = pulled;
    Ok(KernelPulled {
        kernel: local::viewed(vms, record),
        was_here,
    })
}

/// Pulls a kernel on this thread.
pub(super) fn pull_now(
    here: &Stores,
    request: KernelPull,
    say: &Reporter,
    left: &CancellationToken,
) -> Result<catalog::Pulled, Error> {
    let from = catalogs::chosen(&here.paths, request.catalog.as_ref())?;
    let what = format!("pulling {}", request.name);
    let options = catalog::PullOptions {
        name: request.name,
        force: request.force,
    };
    let mut progress = |done, total| {
        let what = what.clone();
        say.report(Progress::Bytes { what, done, total });
        if left.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let fetcher = fetcher(&here.paths)?.until(left.clone());
    let mut note = |text: &str| say.note(text);
    Ok(catalog::pull_kernel(
        &here.kernels,
        &from,
        &options,
        &fetcher,
        &mut progress,
        &mut note,
    )?)
}

/// What is published.
#[derive(Debug)]
pub struct Publishing(catalog::PublishOptions);

impl From<KernelPublish> for Publishing {
    fn from(request: KernelPublish) -> Self {
        Self(catalog::PublishOptions {
            dir: request.dir,
            what: catalog::Publish::Kernels(request.kernels),
            key: signing_key(request.key),
            distro: request.distro,
            description: request.description,
            valid_days: request.valid_days,
        })
    }
}

impl From<ImagePublish> for Publishing {
    fn from(request: ImagePublish) -> Self {
        Self(catalog::PublishOptions {
            dir: request.dir,
            what: catalog::Publish::Images(request.images),
            key: signing_key(request.key),
            distro: None,
            description: request.description,
            valid_days: request.valid_days,
        })
    }
}

fn signing_key(key: SigningKey) -> catalog::PublishKey {
    match key {
        SigningKey::Existing(path) => catalog::PublishKey::Existing(path),
        SigningKey::New(path) => catalog::PublishKey::New(path),
    }
}

/// Makes or extends a catalog in a directory of this host, and signs it.
pub async fn publish(
    vms: &Arc<Vms>,
    Publishing(options): Publishing,
    say: Reporter,
) -> Result<Published, ErrorBody> {
    let context = Arc::clone(vms.context());
    let dir = options.dir.clone();
    let published = blocking("publishing a catalog", move || {
        catalog::publish(&context.kernels, &context.images, &options, &mut |note| {
            say.note(note)
        })
    })
    .await?;
    Ok(Published {
        dir,
        key: published.key.to_string(),
        expires: format!("{:.0}", published.expires),
        kernels: published.kernels.into_iter().map(offered::kernel).collect(),
        images: published.images.into_iter().map(offered::image).collect(),
    })
}

pub(super) fn fetcher(paths: &Paths) -> Result<Fetcher, catalogs::Error> {
    let config = Config::load(paths)?;
    Ok(Fetcher::new(config.fetch.limits()))
}

fn view(configured: Configured) -> Catalog {
    let Configured { entry, in_config } = configured;
    Catalog {
        name: entry.name,
        location: entry.location.to_string(),
        key: entry.key.to_string(),
        in_config,
    }
}

impl Describe for BadCatalog {
    fn describe(&self) -> Description {
        match self {
            Self::Location(_) => ErrorCode::InvalidRequest.into(),
            Self::Key(_) => Description::hinted(
                ErrorCode::InvalidRequest,
                "ask the publisher of the catalog for its public key",
            ),
        }
    }
}
