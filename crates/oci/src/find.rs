//! From what was asked for to an image whose layers can be read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use banger_bounded::{Budget, Checked, Exceeded, decompressed};
use banger_model::ImageConfig;
use banger_store::OfFile;
use banger_store::files::make_file;
use tokio_util::sync::CancellationToken;

use crate::document::{LayerRef, Resolved};
use crate::endpoint::RegistryOptions;
use crate::error::Error;
use crate::layout::Layout;
use crate::members::{self, Archive, Directory};
use crate::platform::Platform;
use crate::reference::PullSource;
use crate::registry::Registry;
use crate::saved::Saved;
use crate::source::Source;

/// An image that was found, and is not pulled yet.
pub struct Found {
    source: Box<dyn Source>,
    resolved: Resolved,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Digest of what the source's name leads to: the index, where there is one.
    pub digest: Option<String>,
    /// How to run it.
    pub config: ImageConfig,
    /// The manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// The configuration, byte for byte.
    pub configuration: Vec<u8>,
}

/// The digest that a registry's tag has now, by one request for a manifest; nothing for other sources.
///
/// # Errors
/// When the registry does not tell.
pub fn digest_now(
    source: &PullSource,
    options: &RegistryOptions,
    called_off: &CancellationToken,
) -> Result<Option<String>, Error> {
    match source {
        PullSource::Registry(reference) => {
            let mut registry = Registry::new(reference, options, called_off)?;
            registry.digest().map(Some)
        }
        _ => Ok(None),
    }
}

/// Finds an image. A compressed archive is decompressed to a file in `scratch` first, within `budget`.
///
/// # Errors
/// When there is no such image, or its documents are not what they should be.
pub fn find(
    source: &PullSource,
    platform: &Platform,
    options: &RegistryOptions,
    budget: Budget,
    scratch: &Path,
    called_off: &CancellationToken,
) -> Result<Found, Error> {
    let archive = |path: &Path| open_archive(path, scratch, budget);
    let mut source: Box<dyn Source> = match source {
        PullSource::Registry(reference) => Box::new(Registry::new(reference, options, called_off)?),
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
    let resolved = source.resolve(platform)?;
    bounded(&resolved)?;
    Ok(Found { source, resolved })
}

fn open_archive(path: &Path, scratch: &Path, budget: Budget) -> Result<Archive, Error> {
    let mut file = File::open(path).of("open", path)?;
    if !members::is_compressed(&mut file).of("read", path)? {
        return Archive::open(path);
    }
    let plain = scratch.join("archive.tar");
    let mut to = make_file(&plain)?;
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
    /// What is known of it.
    pub fn described(&self) -> Described {
        Described {
            digest: self.resolved.digest.clone(),
            config: config_of(&self.resolved),
            manifest: self.resolved.manifest.clone(),
            configuration: self.resolved.configuration.clone(),
        }
    }

    /// Its layers, the lowest first.
    pub fn layers(&self) -> &[LayerRef] {
        &self.resolved.layers
    }

    /// A layer's bytes as they are packed, not verified. What waits for others stops to when `called_off` is cancelled.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(
        &self,
        layer: &LayerRef,
        called_off: &CancellationToken,
    ) -> Result<Box<dyn Read + Send + '_>, Error> {
        self.source.open(layer, called_off)
    }
}

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
