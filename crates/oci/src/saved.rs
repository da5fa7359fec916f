//! What `docker save` writes: a tar with `manifest.json` (Docker's "image specification v1.2", "Combined Image JSON +
//! Filesystem Changeset Format").

use std::io::Read;

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::document::{self, LayerRef, Resolved, diff_sha256};
use crate::error::Error;
use crate::members::{self, Archive, Members};
use crate::platform::Platform;
use crate::source::Source;

/// An image in such a tar.
pub(crate) struct Saved {
    archive: Archive,
    name: Option<String>,
}

/// An image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Described {
    /// Whether it is called so; Docker leaves out its own registry, and `latest`.
    fn is_called(&self, name: &str) -> bool {
        let tags = self.repo_tags.iter().flatten();
        tags.into_iter().any(|tag| {
            tag == name || tag.strip_suffix(":latest") == Some(name) || tag.ends_with(&format!("/{name}"))
        })
    }
}

impl Saved {
    pub(crate) fn new(archive: Archive, name: Option<String>) -> Self {
        Self { archive, name }
    }

    fn described(&self) -> Result<(Vec<u8>, Described), Error> {
        let manifest = members::document(&self.archive, "manifest.json")?;
        let mut images: Vec<Described> = document::parse("manifest", &manifest)?;
        let found = match &self.name {
            Some(name) => images.iter().position(|image| image.is_called(name)),
            None => (images.len() == 1).then_some(0),
        };
        match found {
            Some(index) => Ok((manifest, images.swap_remove(index))),
            None => Err(Error::NoImage {
                path: self.archive.path().to_owned(),
                tag: self.name.clone(),
                present: images
                    .into_iter()
                    .filter_map(|image| image.repo_tags)
                    .flatten()
                    .collect(),
            }),
        }
    }
}

impl Source for Saved {
    fn resolve(&mut self, _platform: &Platform) -> Result<Resolved, Error> {
        let (manifest, described) = self.described()?;
        let configuration = members::document(&self.archive, &described.config)?;
        let config: ImageConfiguration = document::parse("configuration", &configuration)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != described.layers.len() {
            return Err(Error::Layers {
                layers: described.layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        let layers = described
            .layers
            .into_iter()
            .zip(diff_ids)
            .map(|(place, diff_id)| {
                Ok(LayerRef {
                    size: self.archive.size(&place),
                    place,
                    // Only the tar in it is named by a digest.
                    sha256: None,
                    diff_sha256: diff_sha256(diff_id)?,
                    urls: None,
                })
            });
        let layers = layers.collect::<Result<_, Error>>()?;
        Ok(Resolved {
            digest: None,
            manifest,
            configuration,
            config,
            layers,
        })
    }

    fn open(&self, layer: &LayerRef, _: &CancellationToken) -> Result<Box<dyn Read + Send + '_>, Error> {
        members::layer(&self.archive, &layer.place)
    }
}
