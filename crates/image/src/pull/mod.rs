//! Images that come from elsewhere by name.
//!
//! ```text
//!  source ──▶ documents ──▶ one lane a layer, some at once:            ──▶ stack, in order ──▶ metadata
//!  (banger_oci)               read ─ verify ─ decompress │ verify ─ tar      tree                ext4
//!                                        (a thread)   │ (a thread) └─▶ content to its blocks
//! ```
//!
//! Every byte is read once and written once. Layers wait for each other only where one changes what another has. Nothing
//! is trusted before its digest is compared, because nothing has a name before that.

mod decode;
mod work;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use banger_model::{ImageName, ImageOrigin, KernelName};
use banger_oci::{Found, PullSource};
use banger_store::{OfFile, files};
use tokio_util::sync::CancellationToken;

use self::decode::Bounds;
use self::work::Work;
use crate::error::Error;
use crate::facts::Facts;
use crate::options::{PullOptions, PullProgress};
use crate::parts::{CONFIGURATION, MANIFEST, ROOTFS};
use crate::record::{Draft, ImageRecord};
use crate::store::ImageStore;
use crate::told::Cancelled;
use crate::tree::{self, Tree};

/// Words of progress, each of a megabyte, between two times that what is written is put on stable storage: then little is
/// left to wait for in the end.
const SYNC_EVERY: u64 = 16;

/// What is pulled, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The name it gets.
    pub name: ImageName,
    /// Where it comes from.
    pub source: PullSource,
    /// The kernel that its VMs boot.
    pub kernel: Option<KernelName>,
    /// Take the name over from an image that came from elsewhere, and pull what is here again.
    pub force: bool,
    /// How.
    pub options: PullOptions,
}

impl Pull {
    /// What is remembered of where the image comes from, but for its digest.
    fn origin(&self) -> ImageOrigin {
        ImageOrigin {
            reference: self.source.to_string(),
            platform: self.options.platform.to_string(),
            digest: None,
        }
    }
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// It is as it was.
    Unchanged(ImageRecord),
    /// It is here now.
    New(ImageRecord),
}

impl ImageStore {
    /// Pulls an image. One that was pulled from the same place before, and has not changed there, is left as it is; one
    /// that has changed gives its name to the new one. On failure nothing of it is left.
    ///
    /// # Errors
    /// When the name is another image's, the image cannot be had, is not what its digests say, or cannot be kept;
    /// [`Error::Cancelled`] soon after `called_off` is cancelled, whatever was waited for.
    pub fn pull(
        &self,
        pull: &Pull,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<Pulled, Error> {
        // What comes of it is told in many ways, by whoever was interrupted.
        self.pull_unless(pull, progress, called_off)
            .map_err(|error| match called_off.is_cancelled() {
                true => Cancelled.into(),
                false => error,
            })
    }

    fn pull_unless(
        &self,
        pull: &Pull,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<Pulled, Error> {
        let wanted = pull.origin();
        if let Some((here, digest)) = self.known_from(&pull.name, &wanted, pull.force)? {
            let now = banger_oci::digest_now(&pull.source, &pull.options.registry, called_off)?;
            if now.is_some() && now == digest {
                return Ok(Pulled::Unchanged(here));
            }
        }
        self.fetch(pull, wanted, progress, called_off).map(Pulled::New)
    }

    /// The image of this name, if a pull would find it unchanged, as far as [`glimpse`](banger_oci::glimpse) can tell.
    /// Nothing that a registry sends is decoded.
    pub async fn glimpse_unchanged(&self, pull: &Pull) -> Option<ImageRecord> {
        let known = self.known_from(&pull.name, &pull.origin(), pull.force);
        let (here, digest) = known.ok()??;
        let digest = digest?;
        let now = banger_oci::glimpse(&pull.source, &pull.options.registry).await?;
        (now == digest).then_some(here)
    }

    /// The image of this name, if it is the one that `wanted` tells of, with its digest, and is not wanted again.
    ///
    /// # Errors
    /// When the name is taken by another image, and not to be taken over.
    pub fn unchanged(
        &self,
        name: &ImageName,
        wanted: &ImageOrigin,
        force: bool,
    ) -> Result<Option<ImageRecord>, Error> {
        let here = self.known_from(name, wanted, force)?;
        Ok(here
            .filter(|(_, digest)| *digest == wanted.digest)
            .map(|(here, _)| here))
    }

    /// The image of this name with the digest it had where it came from; nothing when it is wanted again. One from elsewhere
    /// is an error.
    fn known_from(
        &self,
        name: &ImageName,
        wanted: &ImageOrigin,
        force: bool,
    ) -> Result<Option<(ImageRecord, Option<String>)>, Error> {
        let Some(here) = self.read(name.as_str())?.filter(|_| !force) else {
            return Ok(None);
        };
        let origin = here.origin.clone().filter(|origin| origin.is_like(wanted));
        let origin = origin.ok_or_else(|| banger_store::Error::Exists {
            kind: "image",
            name: name.to_string(),
        })?;
        Ok(Some((here, origin.digest)))
    }

    /// Pulls an image, whatever is here. `origin` is remembered; where it has no digest, with that of the source.
    ///
    /// # Errors
    /// When the image cannot be had, is not what its digests say, or cannot be kept.
    pub fn fetch(
        &self,
        pull: &Pull,
        origin: ImageOrigin,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<ImageRecord, Error> {
        let making = self.begin()?;
        let scratch = self.begin()?;
        let PullOptions {
            platform, registry, ..
        } = &pull.options;
        let budget = pull.options.budget();
        let found = banger_oci::find(
            &pull.source,
            platform,
            registry,
            budget,
            scratch.path(),
            called_off,
        )?;
        let described = found.described();
        let path = making.path().join(ROOTFS);
        let file = files::make_file(&path)?;
        let handle = file.try_clone().of("open", &path)?;
        let facts = thread::scope(|scope| {
            let (written, syncing) = sync_channel(1);
            let early = &handle;
            scope.spawn(move || {
                for () in syncing {
                    // An error is told again by the last one.
                    let _ = early.sync_data();
                }
            });
            let told = AtomicU64::new(0);
            let progress = move |layer: &str, done: u64, total: u64| {
                // One that is under way takes along what comes meanwhile.
                if told.fetch_add(1, Ordering::Relaxed) % SYNC_EVERY == SYNC_EVERY - 1 {
                    let _ = written.try_send(());
                }
                progress(layer, done, total);
            };
            into_image(&found, file, &pull.options, &progress, called_off)
        })?;
        handle.sync_all().of("sync", &path)?;
        for (name, bytes) in [
            (MANIFEST, &described.manifest),
            (CONFIGURATION, &described.configuration),
        ] {
            files::replace(&making.path().join(name), bytes)?;
        }
        let draft = Draft {
            kernel: pull.kernel.clone(),
            os: facts.os,
            init: facts.init,
            managed: true,
            config: Some(described.config),
            origin: Some(ImageOrigin {
                digest: origin.digest.or(described.digest),
                ..origin
            }),
            ..Draft::default()
        };
        self.publish(&pull.name, making, draft, true)
    }
}

/// Writes the image that was found into an empty file.
fn into_image(
    found: &Found,
    file: File,
    options: &PullOptions,
    progress: PullProgress<'_>,
    called_off: &CancellationToken,
) -> Result<Facts, Error> {
    let mut writer = tree::begin(file)?;
    let sizes: Vec<u64> = found.layers().iter().map(|layer| layer.size).collect();
    let lanes = writer.lanes(&sizes);
    let mut tree = Tree::new(writer, options.most_entries);
    let bounds = Bounds::new(options.most_bytes, options.most_entries, options.budget());
    Work::new(found, bounds, progress, called_off).stack(lanes, &mut tree)?;
    Ok(tree.finish()?)
}
