//! Images of the Open Container Initiative and of Docker, made bootable.
//!
//! ```text
//!  source ──▶ documents ──▶ one lane a layer, some at once:            ──▶ stack, in order ──▶ metadata
//!  registry    index          read ─ verify ─ decompress │ verify ─ tar      tree                ext4
//!  layout      manifest                     (a thread)   │ (a thread) └─▶ content to its blocks
//!  archive     configuration
//! ```
//!
//! Every byte is read once and written once. Layers wait for each other only where one changes what another has. Nothing
//! is trusted before its digest is compared, because nothing has a name before that.

mod answer;
mod blob;
mod challenge;
mod decode;
mod document;
mod endpoint;
mod error;
mod layout;
mod platform;
mod reference;
mod registry;
mod repository;
mod retry;
mod saved;
mod source;
mod verified;
mod work;

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;

use banger_ext4::{ImageWriter, Options};
use banger_model::ImageConfig;
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Exceeded};
use crate::compression::{Checked, decompressed};
use crate::facts::Facts;
use crate::files::OfFile;
use crate::tree::Tree;

pub use answer::Answer;
pub use endpoint::RegistryOptions;
pub use error::Error;
pub use platform::Platform;
pub use reference::PullSource;

use decode::Bounds;
use document::{LayerRef, Resolved};
use layout::{Archive, Directory, Layout};
use registry::Registry;
use saved::Saved;
use source::Source;
use work::Work;

/// How an image is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// For which platform.
    pub platform: Platform,
    /// How registries are asked.
    pub registry: RegistryOptions,
    /// The most bytes that an image may unpack to.
    pub most_bytes: u64,
    /// The most entries that an image may have.
    pub most_entries: u64,
    /// The most bytes that each byte of an archive may unpack to, beyond some gigabytes.
    pub most_ratio: u64,
    /// The largest window or dictionary that unpacking may need.
    pub most_window: u64,
}

impl PullOptions {
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            most: self.most_bytes,
            ratio: self.most_ratio,
            window: self.most_window,
        }
    }
}

impl Default for PullOptions {
    fn default() -> Self {
        let Budget { most, ratio, window } = Budget::default();
        Self {
            platform: Platform::default(),
            registry: RegistryOptions::default(),
            most_bytes: most,
            most_entries: 4_000_000,
            most_ratio: ratio,
            most_window: window,
        }
    }
}

/// Is told of a layer that comes: its digest, the bytes so far, and in all. Called by several threads.
pub type PullProgress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// What an image's configuration says of how to run it.
fn config_of(resolved: &Resolved) -> ImageConfig {
    let Some(config) = resolved.config.config() else {
        return ImageConfig::default();
    };
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut exposed_ports = list(config.exposed_ports());
    exposed_ports.sort();
    ImageConfig {
        env: list(config.env()),
        entrypoint: list(config.entrypoint()),
        cmd: list(config.cmd()),
        user: config.user().clone().unwrap_or_default(),
        workdir: config.working_dir().clone().unwrap_or_default(),
        labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
        exposed_ports,
        stop_signal: config.stop_signal().clone(),
    }
}

/// An image that was found, and is not pulled yet.
pub(crate) struct Found {
    source: Box<dyn Source>,
    resolved: Resolved,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    /// Digest of what the source's name leads to: the index, where there is one.
    pub(crate) digest: Option<String>,
    pub(crate) config: ImageConfig,
    /// The documents, byte for byte.
    pub(crate) manifest: Vec<u8>,
    pub(crate) configuration: Vec<u8>,
}

/// The digest that a registry's tag has now, by one request for a manifest; nothing for other sources.
pub(crate) fn digest_now(
    source: &PullSource,
    options: &PullOptions,
    called_off: &CancellationToken,
) -> Result<Option<String>, Error> {
    match source {
        PullSource::Registry(reference) => {
            let mut registry = Registry::new(reference, &options.registry, called_off)?;
            registry.digest().map(Some)
        }
        _ => Ok(None),
    }
}

/// Finds an image. A compressed archive is decompressed to a file in `scratch` first.
pub(crate) fn find(
    source: &PullSource,
    options: &PullOptions,
    scratch: &Path,
    called_off: &CancellationToken,
) -> Result<Found, crate::Error> {
    let archive = |path: &Path| open_archive(path, scratch, options.budget());
    let mut source: Box<dyn Source> = match source {
        PullSource::Registry(reference) => Box::new(Registry::new(reference, &options.registry, called_off)?),
        PullSource::Layout(path, tag) => Box::new(Layout::new(Directory(path.clone()), tag.clone())),
        PullSource::OciArchive(path, tag) => Box::new(Layout::new(archive(path)?, tag.clone())),
        PullSource::DockerArchive(path, name) => Box::new(Saved::new(archive(path)?, name.clone())),
        PullSource::Archive(path) => {
            let archive = archive(path)?;
            if archive.has("index.json") {
                Box::new(Layout::new(archive, None))
            } else {
                Box::new(Saved::new(archive, None))
            }
        }
    };
    let resolved = source.resolve(&options.platform)?;
    bounded(&resolved)?;
    Ok(Found { source, resolved })
}

fn open_archive(path: &Path, scratch: &Path, budget: Budget) -> Result<Archive, crate::Error> {
    let mut file = File::open(path).of("open", path)?;
    if !layout::is_compressed(&mut file).of("read", path)? {
        return Archive::open(path);
    }
    let plain = scratch.join("archive.tar");
    let mut to = crate::files::make_file(&plain)?;
    thread::scope(|scope| {
        let mut from = decompressed(scope, file, Checked::Here, budget)?;
        io::copy(&mut from, &mut to)
    })
    .of("decompress", path)?;
    Archive::open(&plain)
}

/// The most layers of an image; runtimes stack 127 or fewer.
const MOST_LAYERS: usize = 1024;

/// The most strings that say how to run an image, and their bytes: they are kept for as long as the image is.
const MOST_STRINGS: usize = 20_000;
const MOST_TEXT: usize = 1 << 20;

/// What is kept of an image's documents is bounded by more than their lengths.
fn bounded(resolved: &Resolved) -> Result<(), Exceeded> {
    let refused = |what, most, parts| Err(Exceeded::Document { what, most, parts });
    if resolved.layers.len() > MOST_LAYERS {
        return refused("manifest", MOST_LAYERS, "layers");
    }
    let config = config_of(resolved);
    let lists = [
        &config.env,
        &config.entrypoint,
        &config.cmd,
        &config.exposed_ports,
    ];
    let labels = config.labels.iter().flat_map(|(name, value)| [name, value]);
    let (mut strings, mut bytes) = (0, config.user.len() + config.workdir.len());
    for text in lists.into_iter().flatten().chain(labels) {
        strings += 1;
        bytes += text.len();
    }
    if strings > MOST_STRINGS {
        return refused("configuration", MOST_STRINGS, "values");
    }
    if bytes > MOST_TEXT {
        return refused("configuration", MOST_TEXT, "bytes of values");
    }
    Ok(())
}

impl Found {
    pub(crate) fn described(&self) -> Described {
        Described {
            digest: self.resolved.digest.clone(),
            config: config_of(&self.resolved),
            manifest: self.resolved.manifest.clone(),
            configuration: self.resolved.configuration.clone(),
        }
    }

    /// Writes the image into an empty file.
    pub(crate) fn into_image(
        self,
        file: File,
        writer: Options,
        options: &PullOptions,
        progress: PullProgress<'_>,
        called_off: &CancellationToken,
    ) -> Result<Facts, crate::Error> {
        let mut writer = ImageWriter::create(file, writer).map_err(|source| crate::Error::Image {
            what: "begin",
            source,
        })?;
        let layers = &self.resolved.layers;
        let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
        let lanes = writer.lanes(&sizes);
        let mut tree = Tree::new(writer, options.most_entries);
        let bounds = Bounds::new(options.most_bytes, options.most_entries, options.budget());
        Work::new(&*self.source, layers, bounds, progress, called_off).stack(lanes, &mut tree)?;
        tree.finish()
    }
}
