//! From a name to an image's layers: indexes, manifests and configurations.
//!
//! Sources: the OCI image specification (`image-index.md`, `manifest.md`, `config.md`), and Docker's "Image Manifest
//! Version 2, Schema 2", whose documents have the same fields.

use banger_store::Digest;
use oci_spec::image::{self, Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::platform::Platform;
use crate::verified;

/// How deep indexes may be in indexes, a manifest included.
const DEEPEST: u32 = 5;

/// How many manifests of an index are asked whether they are for the platform, when none says it in the index.
const MOST_UNSAID: usize = 16;

/// A layer of an image, still packed.
#[derive(Debug, Clone)]
pub struct LayerRef {
    /// Where its source has it: a digest, or a path in an archive.
    pub(crate) place: String,
    /// SHA-256 of it as it is packed, where that is known.
    pub sha256: Option<Digest>,
    /// SHA-256 of the tar in it.
    pub diff_sha256: Digest,
    /// Bytes as it is packed.
    pub size: u64,
    /// Where else it may be had (foreign layers).
    pub(crate) urls: Option<Vec<String>>,
}

/// An image's documents.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// Digest of what the source's name leads to: the index, where there is one.
    pub(crate) digest: Option<String>,
    /// The manifest as it came.
    pub(crate) manifest: Vec<u8>,
    /// The configuration as it came.
    pub(crate) configuration: Vec<u8>,
    /// What the configuration says.
    pub(crate) config: ImageConfiguration,
    /// The layers, the lowest first.
    pub(crate) layers: Vec<LayerRef>,
}

/// Reads documents by their descriptors, and verifies them.
pub(crate) type Fetch<'a> = &'a dyn Fn(&Descriptor) -> Result<Vec<u8>, Error>;

/// Resolves an index or manifest to the image for `platform`.
pub(crate) fn resolve(
    document: Vec<u8>,
    digest: Option<String>,
    platform: &Platform,
    fetch: Fetch<'_>,
) -> Result<Resolved, Error> {
    let search = Search {
        digest,
        platform,
        fetch,
    };
    search.image(document, DEEPEST)
}

/// A search for the image of a platform.
struct Search<'a> {
    digest: Option<String>,
    platform: &'a Platform,
    fetch: Fetch<'a>,
}

impl Search<'_> {
    fn image(&self, document: Vec<u8>, depth: u32) -> Result<Resolved, Error> {
        if depth == 0 {
            return Err(Error::Kind("index of indexes of indexes".to_owned()));
        }
        match kind(&document)? {
            Kind::Manifest => of_manifest(document, self.digest.clone(), self.fetch),
            Kind::Index => self.of_index(&parse("index", &document)?, depth),
        }
    }

    /// The image of the index's best manifest for the platform. What has no platform is asked for its configuration's,
    /// in the index's order: it may be another one's, or no image at all but what a builder attests of one.
    fn of_index(&self, index: &ImageIndex, depth: u32) -> Result<Resolved, Error> {
        let manifests = index.manifests();
        if let Some(best) = self.platform.fitting(manifests).first() {
            return self.image((self.fetch)(best)?, depth - 1);
        }
        let unsaid = manifests
            .iter()
            .filter(|manifest| manifest.platform().is_none() && !is_about_another(manifest));
        let mut there = platforms(manifests);
        let mut no_image = None;
        for descriptor in unsaid.take(MOST_UNSAID) {
            let document = (self.fetch)(descriptor)?;
            match self.image(document, depth - 1) {
                Ok(found) => match of_configuration(&found.config) {
                    Some(platform) if !self.platform.takes(&platform) => there.push(platform.to_string()),
                    _ => return Ok(found),
                },
                Err(Error::NoPlatform { there: deeper, .. }) => there.extend(deeper),
                // No image at all, such as what a builder attests without saying so.
                Err(
                    error @ (Error::Kind(_)
                    | Error::Layers { .. }
                    | Error::Digest(_)
                    | Error::Document { .. }),
                ) => no_image = no_image.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        match no_image {
            Some(error) if there.is_empty() => Err(error),
            _ => Err(Error::NoPlatform {
                wanted: self.platform.to_string(),
                there,
            }),
        }
    }
}

/// Whether a descriptor says that it is about another manifest of the index: what a builder attests of it
/// (BuildKit's "Image attestation storage"), a signature, a list of parts.
fn is_about_another(descriptor: &Descriptor) -> bool {
    let annotations = descriptor.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
        || descriptor.artifact_type().is_some()
}

/// The platforms that an index has, as its users see them.
fn platforms(manifests: &[Descriptor]) -> Vec<String> {
    let platforms = manifests
        .iter()
        .filter(|manifest| !is_about_another(manifest))
        .filter_map(Platform::of);
    let mut there: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
    // Attestations of builders are manifests too.
    there.retain(|platform| platform != "unknown/unknown");
    there.dedup();
    there
}

/// The platform that a configuration states; tools that pack anything write none.
fn of_configuration(config: &ImageConfiguration) -> Option<Platform> {
    let (os, arch) = (config.os().clone(), config.architecture().clone());
    let said = !os.to_string().is_empty() && !arch.to_string().is_empty();
    said.then(|| Platform::new(os, arch, config.variant().clone()))
}

enum Kind {
    Index,
    Manifest,
}

/// What tells the kinds of documents apart. Old manifests have no media type in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

fn kind(document: &[u8]) -> Result<Kind, Error> {
    let probe: Probe = parse("manifest", document)?;
    match probe {
        Probe {
            schema_version: 2,
            manifests: Some(_),
            ..
        } => Ok(Kind::Index),
        Probe {
            schema_version: 2,
            layers: Some(_),
            ..
        } => Ok(Kind::Manifest),
        Probe {
            schema_version,
            media_type,
            ..
        } => Err(Error::Kind(
            media_type.unwrap_or_else(|| format!("schema {schema_version}")),
        )),
    }
}

fn of_manifest(document: Vec<u8>, digest: Option<String>, fetch: Fetch<'_>) -> Result<Resolved, Error> {
    let manifest: ImageManifest = parse("manifest", &document)?;
    let configuration = fetch(manifest.config())?;
    let config: ImageConfiguration = parse("configuration", &configuration)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        return Err(Error::Layers {
            layers: manifest.layers().len(),
            diff_ids: diff_ids.len(),
        });
    }
    let layers = manifest.layers().iter().zip(diff_ids).map(|(layer, diff_id)| {
        let media_type = layer.media_type().as_ref();
        // Encrypted layers and those of artifacts are no archives.
        if !media_type.contains(".tar") || media_type.ends_with("+encrypted") {
            return Err(Error::Kind(media_type.to_owned()));
        }
        Ok(LayerRef {
            place: layer.digest().to_string(),
            sha256: Some(verified::sha256(layer.digest())?),
            diff_sha256: diff_sha256(diff_id)?,
            size: layer.size(),
            urls: layer.urls().clone(),
        })
    });
    let layers = layers.collect::<Result<_, _>>()?;
    Ok(Resolved {
        digest,
        manifest: document,
        configuration,
        config,
        layers,
    })
}

/// The SHA-256 in an entry of `diff_ids`.
pub(crate) fn diff_sha256(diff_id: &str) -> Result<Digest, Error> {
    let digest: image::Digest = diff_id.parse().map_err(|_| Error::Digest(diff_id.to_owned()))?;
    verified::sha256(&digest)
}

pub(crate) fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    banger_bounded::document(what, bytes).map_err(Error::Oversized)?;
    serde_json::from_slice(bytes).map_err(|source| Error::Document { what, source })
}

#[cfg(test)]
mod tests;
