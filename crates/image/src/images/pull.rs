//! Images that come from elsewhere by name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use banger_ext4::Options;
use banger_model::{ImageName, ImageOrigin, KernelName};
use tokio_util::sync::CancellationToken;

use super::{Draft, ImageRecord, ImageStore, ROOTFS};
use crate::Error;
use crate::files::{self, OfFile};
use crate::import::{LABEL, UUID};
use crate::oci::{self, PullOptions, PullProgress, PullSource};

/// Words of progress, each of a megabyte, between two times that what is written is put on stable storage: then little is
/// left to wait for in the end.
const SYNC_EVERY: u64 = 16;

/// The image's documents, byte for byte.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const CONFIGURATION: &str = "config.json";

/// What is pulled, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The name it gets.
    pub name: ImageName,
    /// Where it comes from.
    pub source: PullSource,
    /// The kernel that its VMs boot.
    pub kernel: Option<KernelName>,
    /// Take the name over from an image that came from elsewhere, and pull what is here anew.
    pub force: bool,
    /// How.
    pub options: PullOptions,
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
                true => Error::Cancelled,
                false => error,
            })
    }

    fn pull_unless(
        &self,
        pull: &Pull,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<Pulled, Error> {
        let wanted = ImageOrigin {
            reference: pull.source.to_string(),
            platform: pull.options.platform.to_string(),
            digest: None,
        };
        if let Some((here, digest)) = self.known_from(&pull.name, &wanted, pull.force)? {
            let now = oci::digest_now(&pull.source, &pull.options, called_off)?;
            if now.is_some() && now == digest {
                return Ok(Pulled::Unchanged(here));
            }
        }
        self.fetch(pull, wanted, progress, called_off).map(Pulled::New)
    }

    /// The image of this name, if it is the one that `wanted` tells of, with its digest, and is not wanted anew.
    ///
    /// # Errors
    /// When the name is taken by another image, and not to be taken over.
    pub(crate) fn unchanged(
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

    /// The image of this name with the digest it had where it came from; nothing when it is wanted anew. One from elsewhere
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
        let origin = origin.ok_or_else(|| Error::Exists {
            kind: "image",
            name: name.to_string(),
        })?;
        Ok(Some((here, origin.digest)))
    }

    /// Pulls an image, whatever is here. `origin` is remembered; where it has no digest, with that of the source.
    pub(crate) fn fetch(
        &self,
        pull: &Pull,
        origin: ImageOrigin,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<ImageRecord, Error> {
        let making = self.begin()?;
        let scratch = self.begin()?;
        let found = oci::find(&pull.source, &pull.options, scratch.path(), called_off)?;
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
            found.into_image(
                file,
                Options::new(LABEL, UUID),
                &pull.options,
                &progress,
                called_off,
            )
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
