//! Making a catalog that anybody can host: a directory of static files.

use banger_store::OfFile;
mod placed;

use std::fs::File;
use std::path::{Path, PathBuf};

use banger_fetch::{Fetcher, Limits};
use banger_image::{ImageRecord, ImageStore, write_archive};
use banger_kernel::{KernelRecord, KernelStore, arch_of};
use banger_model::{Compression, ImageName, KernelName};
use banger_store::Nameless;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};

use self::placed::{digest_of, finish_interrupted, make_dir, place, write_document};
use crate::artifact;
use crate::configured::Catalog;
use crate::document::Document;
use crate::error::Error;
use crate::location::{DOCUMENT, Place};
use crate::offered::{CatalogImage, CatalogKernel};
use crate::secret::{PublishKey, secret_key};
use crate::signature::PublicKey;

/// How a catalog is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// The directory that is hosted, made when absent. Absolute.
    pub dir: PathBuf,
    /// What goes into it.
    pub what: Publish,
    /// What it is signed with.
    pub key: PublishKey,
    /// The distribution that kernels come from; else what the catalog said before, or what the host is for its own packages.
    pub distro: Option<String>,
    /// What they are good for; else what the catalog said before.
    pub description: Option<String>,
    /// Days after which users no longer take the catalog as it is now.
    pub valid_days: u16,
}

/// What is published; all there are when no name is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// Kernels.
    Kernels(Vec<KernelName>),
    /// Images, with the kernels that they name.
    Images(Vec<ImageName>),
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The key that users of the catalog configure.
    pub key: PublicKey,
    /// The kernels that were added or replaced.
    pub kernels: Vec<CatalogKernel>,
    /// The images that were added or replaced.
    pub images: Vec<CatalogImage>,
    /// Until when users take it; it has to be published again before.
    pub expires: Timestamp,
}

/// Makes a catalog of what the stores have, or adds it to the one that is in the directory. Artifacts appear before the
/// document that names them, each by rename; artifacts that nothing names any more stay, because somebody may be pulling
/// them. `note` is told what goes on.
///
/// # Errors
/// When there is no such kernel, image or key, the catalog that is there is not signed by this key, or files cannot be
/// written.
pub fn publish(
    kernels: &KernelStore,
    images: &ImageStore,
    options: &PublishOptions,
    note: &mut dyn FnMut(&str),
) -> Result<Published, Error> {
    let (PublishKey::Existing(key) | PublishKey::New(key)) = &options.key;
    for path in [&options.dir, key] {
        if !path.is_absolute() {
            return Err(banger_store::Error::Relative(path.clone()).into());
        }
    }
    let chosen = Chosen::of(kernels, images, &options.what)?;
    let secret = secret_key(&options.key)?;
    let key = minisign::PublicKey::from_secret_key(&secret).map_err(|source| Error::Sign {
        what: "derive the public key",
        source,
    })?;
    let key = PublicKey::new(key);
    let dir = &options.dir;
    make_dir(dir)?;
    // Two at once would each leave out what the other adds.
    let lock = File::open(dir).of("open", dir)?;
    flock(&lock, FlockOperation::LockExclusive).of("lock", dir)?;
    finish_interrupted(dir, &key)?;
    let mut document = previous(dir, &key)?;
    let mut published = Published {
        key,
        kernels: Vec::new(),
        images: Vec::new(),
        expires: Timestamp::now() + SignedDuration::from_hours(24 * i64::from(options.valid_days)),
    };
    let of_kernels = matches!(options.what, Publish::Kernels(_));
    for record in &chosen.kernels {
        note(&format!("packing kernel {}", record.name));
        // What is said of images is not said of their kernels.
        let said = options.description.clone().filter(|_| of_kernels);
        let kernel = kernel(record, options, said, &document)?;
        document.set(kernel.clone());
        published.kernels.push(kernel);
    }
    for record in &chosen.images {
        note(&format!("packing image {}", record.name));
        let image = image(record, options, &document)?;
        document.set(image.clone());
        published.images.push(image);
    }
    let now = Timestamp::now();
    // The time keeps the serial growing for a publisher who lost the last state.
    let of_now = u64::try_from(now.as_second()).unwrap_or_default();
    document.serial = of_now.max(document.serial + 1);
    document.expires = Some(published.expires);
    write_document(dir, &document, &secret)?;
    Ok(published)
}

/// What is published, with what that needs.
struct Chosen {
    kernels: Vec<KernelRecord>,
    images: Vec<ImageRecord>,
}

impl Chosen {
    fn of(kernels: &KernelStore, images: &ImageStore, what: &Publish) -> Result<Self, Error> {
        let (names, images) = match what {
            Publish::Kernels(names) if names.is_empty() => {
                let all = kernels.list()?.into_iter().map(|record| record.name);
                (all.collect(), Vec::new())
            }
            Publish::Kernels(names) => (names.clone(), Vec::new()),
            Publish::Images(names) => {
                let records = match names.is_empty() {
                    true => images.list()?,
                    false => names
                        .iter()
                        .map(|name| images.get(name))
                        .collect::<Result<_, _>>()?,
                };
                let mut named: Vec<KernelName> = records
                    .iter()
                    .filter_map(|record| record.kernel.clone())
                    .collect();
                named.sort();
                named.dedup();
                (named, records)
            }
        };
        let kernels = names
            .iter()
            .map(|name| kernels.get(name))
            .collect::<Result<Vec<_>, _>>()?;
        match what {
            Publish::Kernels(_) if kernels.is_empty() => Err(Error::NothingToPublish("kernel")),
            Publish::Images(_) if images.is_empty() => Err(Error::NothingToPublish("image")),
            _ => Ok(Self { kernels, images }),
        }
    }
}

/// What the directory's catalog has. It is signed again, so what is in it has to be from whoever has the key.
fn previous(dir: &Path, key: &PublicKey) -> Result<Document, Error> {
    let path = dir.join(DOCUMENT);
    if !path.exists() {
        return Ok(Document::default());
    }
    let text = path.display().to_string();
    let catalog = Catalog {
        location: text
            .parse()
            .map_err(|_| banger_store::Error::Relative(path.clone()))?,
        name: text,
        key: key.clone(),
        seen_dir: None,
    };
    // However old it is: who has the key continues it.
    catalog.read_at(&Place::Path(path), &Fetcher::new(Limits::default()))
}

/// Puts a kernel's artifact into the directory.
fn kernel(
    record: &KernelRecord,
    options: &PublishOptions,
    description: Option<String>,
    before: &Document,
) -> Result<CatalogKernel, Error> {
    let dir = &options.dir;
    let mut beside = Nameless::begin(dir)?;
    let (sha256, bytes) = artifact::pack(record, beside.file_mut())?;
    let location = place(beside, dir, record.name.as_str(), sha256, "tar.zst")?;
    let arch = arch_of(&record.vmlinux)?.to_owned();
    let before: Option<&CatalogKernel> = before.offer(record.name.as_str(), &arch);
    let distro = options.distro.clone();
    Ok(CatalogKernel {
        name: record.name.clone(),
        distro: distro
            .or_else(|| before.and_then(|kernel| kernel.distro.clone()))
            .or_else(|| distro_of(record)),
        arch,
        version: record.version.clone(),
        location,
        sha256,
        bytes,
        description: description.or_else(|| before.and_then(|kernel| kernel.description.clone())),
        append: record.append.clone(),
        max_vcpus: record.max_vcpus,
    })
}

/// Puts an image's artifact into the directory.
fn image(record: &ImageRecord, options: &PublishOptions, before: &Document) -> Result<CatalogImage, Error> {
    let dir = &options.dir;
    let mut beside = Nameless::begin(dir)?;
    let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
    write_archive(record, beside.file(), Compression::Zstd, &mut go_on)?;
    let (sha256, bytes) = digest_of(beside.file_mut()).of("read", dir)?;
    let location = place(beside, dir, record.name.as_str(), sha256, "oci.tar")?;
    // Images are pulled for this host's machines, and imported for no others.
    let arch = std::env::consts::ARCH.to_owned();
    let before: Option<&CatalogImage> = before.offer(record.name.as_str(), &arch);
    let description = options.description.clone();
    Ok(CatalogImage {
        name: record.name.clone(),
        os: record.os.clone(),
        arch,
        location,
        sha256,
        bytes,
        kernel: record.kernel.clone(),
        description: description.or_else(|| before.and_then(|image| image.description.clone())),
    })
}

/// The distribution of a kernel that came from the host's own: its packages, or what it runs.
fn distro_of(record: &KernelRecord) -> Option<String> {
    let of_host = record.source.starts_with("package ") || record.source.starts_with("the host's kernel");
    let release = std::fs::read_to_string("/etc/os-release")
        .ok()
        .filter(|_| of_host)?;
    let id = release.lines().find_map(|line| line.strip_prefix("ID="))?;
    Some(id.trim_matches('"').to_owned())
}
