//! Pulling images: from a registry, a layout, an archive or a catalog.

use std::ops::ControlFlow;
use std::sync::Arc;

use banger_api::{ErrorBody, ImagePull, ImagePulled, Progress};
use banger_catalog::{self as catalog, ImagePullOptions, Offered};
use banger_core::Vms;
use banger_image::{ImageRecord, Pull, PullOptions, Pulled};
use banger_model::{CatalogName, Described, ImageName, body};
use banger_oci::PullSource;
use banger_request::Reporter;
use banger_settings::{Config, catalogs};
use banger_worker::{Job, PulledImage, Stores};
use tokio_util::sync::CancellationToken;

use super::catalogs::{Error, fetcher};
use super::images::{sweep, viewed};
use crate::pull_request::{BadName, limits, understand};

/// Pulls an image. Two pulls to one name are one.
pub async fn pull(vms: &Arc<Vms>, request: ImagePull, say: &Reporter) -> Result<ImagePulled, ErrorBody> {
    let config = vms.context().config().described()?;
    let wanted = Wanted::of(request.clone(), None, &config)?;
    // Whoever pulls the same at once gets what the first one pulled, which has not changed since.
    let turn = vms.context().pulls.turn(wanted.name());
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            say.note(format!(
                "image {} is already being pulled; waiting for that pull",
                wanted.name()
            ));
            turn.lock().await
        }
    };
    if let Some(record) = wanted.unchanged(vms).await {
        return Ok(ImagePulled {
            image: viewed(vms, record),
            unchanged: true,
        });
    }
    let source = wanted.source().cloned();
    let job = Job::Pull { request, source };
    let PulledImage { record, unchanged } = vms.context().workers.run(job, say).await?;
    // An image that this one replaced may be used by no VM. Nobody has to wait for that.
    let sweeping = Arc::clone(vms);
    tokio::task::spawn_blocking(move || sweep(&sweeping));
    Ok(ImagePulled {
        image: viewed(vms, record),
        unchanged,
    })
}

/// Pulls an image on this thread.
pub(super) fn pull_now(
    here: &Stores,
    request: ImagePull,
    source: Option<PullSource>,
    say: &Reporter,
    left: &CancellationToken,
) -> Result<Pulled, ErrorBody> {
    let config = Config::load(&here.paths).map_err(|error| body(&error))?;
    let wanted = Wanted::of(request, source, &config)?;
    let progress = |what: &str, done, total| {
        say.report(Progress::Bytes {
            what: what.to_owned(),
            done,
            total,
        });
    };
    wanted
        .pull(here, say, &progress, left)
        .map_err(|error| body(&error))
}

/// Is told what comes, the bytes so far, and how many in all if that is known.
type Progressing<'a> = &'a (dyn Fn(&str, u64, Option<u64>) + Sync);

/// What is to be pulled.
enum Wanted {
    /// From a registry, a layout or an archive.
    There(Pull),
    /// From a catalog: the one of this name.
    Catalog(ImagePullOptions, CatalogName),
    /// A name without a tag: from the catalog that has it, or from the registry that such names mean.
    Either(ImagePullOptions, Box<Pull>),
}

impl Wanted {
    /// What a request asks for; `source` is what its reference was understood as, if that is known.
    fn of(request: ImagePull, source: Option<PullSource>, config: &Config) -> Result<Self, ErrorBody> {
        let options = |name: ImageName, limits: &PullOptions| ImagePullOptions {
            local: request.name.clone().unwrap_or_else(|| name.clone()),
            name,
            kernel: request.kernel.clone(),
            force: request.force,
            limits: limits.clone(),
        };
        if let Some(catalog) = &request.catalog {
            let name = request.reference.parse();
            let name: ImageName = name.map_err(|error| body(&BadName(error)))?;
            let limits = limits(config);
            return Ok(Self::Catalog(options(name, &limits), catalog.clone()));
        }
        // What only a registry understands says that one is meant.
        let of_registry = request.platform.is_some() || request.insecure || request.ca_cert.is_some();
        let bare = request
            .reference
            .parse::<ImageName>()
            .ok()
            .filter(|_| !of_registry);
        let offered = bare.map(|name| options(name, &limits(config)));
        let pull = understand(request, source, config)?;
        Ok(match offered {
            Some(offered) => Self::Either(offered, Box::new(pull)),
            None => Self::There(pull),
        })
    }

    /// The image that is here, if its registry says at once that it has not changed. Everything else is found out by a child.
    async fn unchanged(&self, vms: &Vms) -> Option<ImageRecord> {
        let Self::There(pull) = self else { return None };
        vms.context().images.glimpse_unchanged(pull).await
    }

    /// Where it comes from, if that is no catalog alone.
    fn source(&self) -> Option<&PullSource> {
        match self {
            Self::There(pull) => Some(&pull.source),
            Self::Either(_, pull) => Some(&pull.source),
            Self::Catalog(..) => None,
        }
    }

    /// The name that the image gets.
    fn name(&self) -> &ImageName {
        match self {
            Self::There(pull) => &pull.name,
            Self::Catalog(options, _) | Self::Either(options, _) => &options.local,
        }
    }

    fn pull(
        self,
        here: &Stores,
        say: &Reporter,
        progress: Progressing<'_>,
        left: &CancellationToken,
    ) -> Result<Pulled, Error> {
        let mut note = |text: &str| say.note(text);
        let pull = match self {
            Self::There(pull) => pull,
            Self::Catalog(options, catalog) => {
                let catalogs = catalogs::chosen(&here.paths, Some(&catalog))?;
                let found = catalog::find_image(&catalogs, &options.name, &fetcher(&here.paths)?, &mut note)?;
                return pull_offered(&found, &options, here, say, progress, left);
            }
            Self::Either(options, pull) => {
                let catalogs = catalogs::chosen(&here.paths, None)?;
                match catalog::find_image(&catalogs, &options.name, &fetcher(&here.paths)?, &mut note) {
                    Ok(found) => {
                        note(&format!(
                            "{} comes from catalog {}",
                            options.name,
                            found.catalog()
                        ));
                        return pull_offered(&found, &options, here, say, progress, left);
                    }
                    Err(catalog::Error::NoCatalogs | catalog::Error::NotOffered { .. }) => {}
                    // Whoever can spoil a catalog must not thereby choose whose image is pulled.
                    Err(error)
                        if error.is_of_trust() || matches!(error, catalog::Error::Ambiguous { .. }) =>
                    {
                        return Err(error.into());
                    }
                    // A user whose catalog does not answer must know whose image this is.
                    Err(error) => {
                        note(&format!(
                            "{}; {} is pulled",
                            banger_model::chain(&error),
                            pull.source
                        ));
                    }
                }
                *pull
            }
        };
        let each = |layer: &str, done, total| progress(layer, done, Some(total));
        Ok(here
            .images
            .pull(&pull, &each, left)
            .map_err(catalog::Error::Image)?)
    }
}

fn pull_offered(
    found: &Offered<'_>,
    options: &ImagePullOptions,
    here: &Stores,
    say: &Reporter,
    progress: Progressing<'_>,
    left: &CancellationToken,
) -> Result<Pulled, Error> {
    let pulled = catalog::pull_image(
        found,
        catalog::Stores {
            images: &here.images,
            kernels: &here.kernels,
        },
        options,
        &fetcher(&here.paths)?,
        &mut |what, done, total| {
            progress(what, done, total);
            match left.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
        &mut |text| say.note(text),
        left,
    );
    Ok(pulled?)
}
