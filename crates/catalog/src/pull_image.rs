//! Pulling an image from a catalog into the store, with its kernel.

use std::ops::ControlFlow;

use banger_fetch::Fetcher;
use banger_image::{ImageStore, Progress, Pull, PullOptions, Pulled};
use banger_kernel::KernelStore;
use banger_model::{ImageName, ImageOrigin, KernelName};
use banger_oci::PullSource;
use tokio_util::sync::CancellationToken;

use crate::configured::Catalog;
use crate::error::Error;
use crate::find::{Found, find};
use crate::offered::{CatalogImage, CatalogKernel};
use crate::pull;

/// An image that is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePullOptions {
    /// Its name in the catalog.
    pub name: ImageName,
    /// The name it gets here.
    pub local: ImageName,
    /// The kernel that its VMs boot; the one that its catalog names is brought along when absent.
    pub kernel: Option<KernelName>,
    /// Take the name over from an image that came from elsewhere, and pull what is here again.
    pub force: bool,
    /// How much it may unpack to.
    pub limits: PullOptions,
}

/// Is told what comes, the bytes of it so far, and how many in all if that is known; `Break` cancels.
pub type OnBytes<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>) -> ControlFlow<()>;

/// Where images and kernels go.
#[derive(Debug, Clone, Copy)]
pub struct Stores<'a> {
    /// The images.
    pub images: &'a ImageStore,
    /// Their kernels.
    pub kernels: &'a KernelStore,
}

/// An image that a catalog offers.
#[derive(Debug)]
pub struct Offered<'a>(Found<'a, CatalogImage>);

impl Offered<'_> {
    /// The catalog that has it.
    pub fn catalog(&self) -> &str {
        &self.0.catalog.name
    }
}

/// The one image of this name for this host in `catalogs`.
///
/// # Errors
/// When no catalog, or more than one, has such an image.
pub fn find_image<'a>(
    catalogs: &'a [Catalog],
    name: &ImageName,
    fetcher: &Fetcher,
    note: &mut dyn FnMut(&str),
) -> Result<Offered<'a>, Error> {
    find(catalogs, name.as_str(), fetcher, note).map(Offered)
}

/// Pulls an image that was found, and first its kernel, from the same catalog. Its artifact is verified as it comes, and
/// opened only when all of it is what the catalog vouches for. On failure nothing of it is left.
///
/// # Errors
/// When what came is not what the catalog says, or is no image; when another image or kernel of that name is here.
pub fn pull_image(
    offered: &Offered<'_>,
    stores: Stores<'_>,
    options: &ImagePullOptions,
    fetcher: &Fetcher,
    progress: OnBytes<'_>,
    note: &mut dyn FnMut(&str),
    called_off: &CancellationToken,
) -> Result<Pulled, Error> {
    let Stores { images, kernels } = stores;
    let found = &offered.0;
    let origin = ImageOrigin {
        reference: format!("catalog:{}/{}", found.catalog.name, found.offer.name),
        platform: options.limits.platform.to_string(),
        digest: Some(format!("sha256:{}", found.offer.sha256)),
    };
    if let Some(here) = images.unchanged(&options.local, &origin, options.force)? {
        return Ok(Pulled::Unchanged(here));
    }
    let kernel = match (&options.kernel, &found.offer.kernel) {
        (None, Some(kernel)) => Some(bring_along(found, kernel, kernels, fetcher, progress, note)?),
        (chosen, _) => chosen.clone(),
    };
    let scratch = images.begin()?;
    let path = scratch.path().join("artifact");
    let what = found.offer.name.to_string();
    let each: Progress<'_> = &mut |done, total| progress(&what, done, total);
    found.download(fetcher, &path, each)?;
    let pull = Pull {
        name: options.local.clone(),
        source: PullSource::OciArchive(path, None),
        kernel,
        force: options.force,
        options: options.limits.clone(),
    };
    note("unpacking the image");
    let unpacked = images.fetch(&pull, origin, &|_, _, _| {}, called_off);
    Ok(Pulled::New(unpacked?))
}

fn bring_along(
    found: &Found<'_, CatalogImage>,
    kernel: &KernelName,
    kernels: &KernelStore,
    fetcher: &Fetcher,
    progress: OnBytes<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<KernelName, Error> {
    let along = |source| Error::Along {
        image: found.offer.name.to_string(),
        kernel: kernel.to_string(),
        source: Box::new(source),
    };
    let catalogs = std::slice::from_ref(found.catalog);
    let kernel_found = find::<CatalogKernel>(catalogs, kernel.as_str(), fetcher, note).map_err(along)?;
    let what = format!("kernel {kernel}");
    let each: Progress<'_> = &mut |done, total| progress(&what, done, total);
    match pull::pull_found(kernels, kernel_found, false, fetcher, each).map_err(along)? {
        pull::Pulled::New(record) => {
            note(&format!(
                "kernel {} {} was pulled with the image",
                record.name, record.version
            ));
            Ok(record.name)
        }
        pull::Pulled::Here(record) => Ok(record.name),
    }
}
